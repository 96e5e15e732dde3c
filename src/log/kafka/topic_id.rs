//! Describes a topic, with its id: rdkafka does not wrap `rd_kafka_DescribeTopics`.
//!
//! The id is necessary: a topic that is deleted and created again is read on at the old offset, with no error and no
//! event. This is the only module that calls librdkafka directly. Everything that a result holds dies with its event, so
//! it is copied first; every object is destroyed on every path by a guard.

#![expect(unsafe_code, reason = "rdkafka has no wrapper for rd_kafka_DescribeTopics")]

use std::{
    ffi::{CStr, CString, c_char},
    ptr,
    time::Duration,
};

use rdkafka::{ClientContext, client::Client, types::RDKafkaErrorCode as Code};
use rdkafka_sys as sys;

use super::{error::Reported, wait::SLICE};
use crate::{log::Cancel, model::TopicId};

/// What the cluster says about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) id: TopicId,
    pub(super) num_partitions: i32,
    /// Whether every partition has a leader.
    pub(super) is_led: bool,
}

/// Destroys what it holds.
struct Guard<T> {
    pointer: *mut T,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Guard<T> {
    /// `None` for a null pointer.
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, destroy })
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null and was made by the constructor that belongs to this destructor; nothing else
        // destroys it.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// Asks for a topic by name; `None` = there is none. Works on any kind of client, and never creates the topic.
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    limit: Duration,
    cancel: &Cancel,
) -> Result<Option<Description>, Reported> {
    let name = CString::new(topic).map_err(|_| local(Code::InvalidTopic, "the name has a NUL in it"))?;
    let request = request(client, &name, limit).ok_or_else(|| local(Code::CriticalSystemResource, "out of memory"))?;

    // librdkafka keeps the limit; the slack is for its timer.
    let mut slices = (limit.as_millis() / SLICE.as_millis()).saturating_add(10);
    let event = loop {
        // SAFETY: the queue lives as long as `request`. A null event is an empty queue.
        let event = unsafe { sys::rd_kafka_queue_poll(request.queue.pointer, SLICE.as_millis() as i32) };
        if let Some(event) = Guard::new(event, sys::rd_kafka_event_destroy) {
            break event;
        }
        slices = slices.saturating_sub(1);
        if slices == 0 || cancel.is_cancelled() {
            return Err(local(Code::OperationTimedOut, "no answer within the time limit"));
        }
    };
    parse(&event)
}

struct Request {
    // Its own queue: a client's main queue is polled by another thread, which would swallow the answer.
    queue: Guard<sys::rd_kafka_queue_t>,
}

fn request<C: ClientContext>(client: &Client<C>, name: &CStr, limit: Duration) -> Option<Request> {
    let native = client.native_ptr();
    let mut names = [name.as_ptr()];
    let timeout = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `native` lives as long as `client`. The collection copies the names. `DescribeTopics` copies collection and
    // options, and holds the queue by a reference of its own. A null error buffer of size 0 is allowed; a refused timeout
    // leaves the client's own.
    unsafe {
        let queue = Guard::new(sys::rd_kafka_queue_new(native), sys::rd_kafka_queue_destroy)?;
        let topics = Guard::new(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )?;
        let options = Guard::new(
            sys::rd_kafka_AdminOptions_new(native, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            sys::rd_kafka_AdminOptions_destroy,
        )?;
        sys::rd_kafka_AdminOptions_set_request_timeout(options.pointer, timeout, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(native, topics.pointer, options.pointer, queue.pointer);
        Some(Request { queue })
    }
}

fn parse(event: &Guard<sys::rd_kafka_event_t>) -> Result<Option<Description>, Reported> {
    let event = event.pointer;
    // SAFETY: everything that is reached from the event lives as long as the caller's guard, and is copied here. The
    // accessors take null errors. `topics` has `count` elements that are not null.
    unsafe {
        let code = Code::from(sys::rd_kafka_event_error(event));
        if code != Code::NoError {
            return Err(Reported {
                code,
                reason: text(sys::rd_kafka_event_error_string(event)),
            });
        }
        if sys::rd_kafka_event_type(event) != sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT {
            return Err(local(Code::InvalidType, "an event of another kind came back"));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(local(Code::InvalidType, "the answer holds no result"));
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return Ok(None);
        }
        let topic = *topics;
        let problem = sys::rd_kafka_TopicDescription_error(topic);
        match Code::from(sys::rd_kafka_error_code(problem)) {
            Code::NoError => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic => return Ok(None),
            code => {
                return Err(Reported {
                    code,
                    reason: text(sys::rd_kafka_error_string(problem)),
                });
            }
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err(local(Code::UnsupportedFeature, "the broker gives topics no ids"));
        }
        let id = uuid::Uuid::from_u64_pair(
            sys::rd_kafka_Uuid_most_significant_bits(id) as u64,
            sys::rd_kafka_Uuid_least_significant_bits(id) as u64,
        );
        if id.is_nil() {
            return Err(local(
                Code::UnsupportedFeature,
                "the broker gives topics no ids; Kafka 2.8 and later do",
            ));
        }
        let mut num_partitions = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &mut num_partitions);
        let is_led =
            (0..num_partitions).all(|index| !sys::rd_kafka_TopicPartitionInfo_leader(*partitions.add(index)).is_null());
        let num_partitions = i32::try_from(num_partitions).unwrap_or(i32::MAX);
        Ok(Some(Description {
            id: TopicId(id),
            num_partitions,
            is_led,
        }))
    }
}

/// # Safety
///
/// `text` is null or a C string that lives during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller says so.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn local(code: Code, reason: &str) -> Reported {
    Reported {
        code,
        reason: reason.to_owned(),
    }
}
