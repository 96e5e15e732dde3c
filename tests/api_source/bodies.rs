//! Bodies that are compressed, cut, or lied about.

use std::io::Write;

use aqueduct::{
    api::ApiError,
    config::settings::{HttpSource, Paginate},
    model::Verdict,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    drain::{items, settings, sweep},
    server::{Api, Asked, json, with},
};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn single(api: &Api) -> HttpSource {
    settings(api.url(), Paginate::Single)
}

#[tokio::test]
async fn a_compressed_page_is_read() {
    let api = Api::start(|_, asked: &Asked| {
        assert!(asked.header("accept-encoding").unwrap().contains("gzip"));
        let body = gzip(items(0, 5_000, json!({})).to_string().as_bytes());
        with("200 OK", &["content-encoding: gzip"], &body)
    })
    .await;
    assert_eq!(sweep(&single(&api)).await.ids.len(), 5_000);
}

#[tokio::test]
async fn a_compressed_bomb_is_cut_at_the_limit_of_what_it_unpacks_to() {
    // 8 MiB of blanks in 8 KiB, and behind them a page.
    let page = items(0, 3, json!({})).to_string();
    let bomb = gzip(&[" ".repeat(8 << 20).as_bytes(), page.as_bytes()].concat());
    assert!(bomb.len() < 1 << 16);
    let api = Api::start(move |_, _| with("200 OK", &["content-encoding: gzip"], &bomb)).await;
    let mut settings = single(&api);
    settings.max_page_bytes = 1 << 18;
    let swept = sweep(&settings).await;
    assert!(
        matches!(
            swept.error,
            Some(ApiError::PageTooLarge {
                limit_bytes: 262_144,
                ..
            })
        ),
        "{}",
        swept.failure()
    );
    assert!(swept.failure().contains("raise `max_page`"), "{}", swept.failure());
    assert_eq!(api.asked().len(), 1, "asking again would bring the same bomb");
    // What fits is read, however well it was compressed.
    settings.max_page_bytes = 9 << 20;
    let swept = sweep(&settings).await;
    assert_eq!(swept.ids, [0, 1, 2], "{}", swept.failure());
}

#[tokio::test]
async fn a_body_that_breaks_off_or_lies_about_its_length_is_asked_for_again() {
    let page = || items(0, 50, json!({})).to_string().into_bytes();
    let zipped = gzip(&page());
    let half_zipped = zipped[..zipped.len() / 2].to_vec();
    let without_trailer = zipped[..zipped.len() - 8].to_vec();
    let mut damaged = zipped.clone();
    damaged[zipped.len() / 2] ^= 0x55;
    let length = page().len();
    let short = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        length - 40
    );
    let long = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        length + 40
    );
    let chunk = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
    let not_a_number = "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n[]".to_owned();
    let gzip_headers = ["content-encoding: gzip"];
    for (what, spoilt) in [
        ("half a gzip", with("200 OK", &gzip_headers, &half_zipped)),
        (
            "a gzip without its end",
            with("200 OK", &gzip_headers, &without_trailer),
        ),
        ("a damaged gzip", with("200 OK", &gzip_headers, &damaged)),
        ("no gzip", with("200 OK", &gzip_headers, &page())),
        ("more than announced", [short.into_bytes(), page()].concat()),
        ("less than announced", [long.into_bytes(), page()].concat()),
        ("a chunk without an end", [chunk.into_bytes(), page()].concat()),
        ("a length that is none", not_a_number.into_bytes()),
        ("nothing", Vec::new()),
    ] {
        let api = Api::start(move |number, _| match number {
            0 => spoilt.clone(),
            _ => json(items(0, 50, json!({}))),
        })
        .await;
        let swept = sweep(&single(&api)).await;
        assert_eq!(swept.ids, (0..50).collect::<Vec<_>>(), "{what}: {}", swept.failure());
        assert_eq!(swept.heard.len(), 1, "{what}: {:?}", swept.heard);
    }
}

#[tokio::test]
async fn an_error_page_with_status_200_is_no_page_and_nothing_of_it_is_taken() {
    let html = b"<!DOCTYPE html><html><body>Sorry</body></html>";
    let api = Api::start(|number, _| match number {
        0 => json(items(0, 2, json!({"next": "?n=1"}))),
        _ => with("200 OK", &["content-type: application/json"], html),
    })
    .await;
    let swept = sweep(&settings(api.url(), crate::drain::next_url())).await;
    assert_eq!((swept.ids.len(), api.asked().len()), (2, 4));
    assert!(
        swept.failure().contains("it is HTML or XML, not JSON"),
        "{}",
        swept.failure()
    );
    assert_eq!(swept.error.unwrap().verdict(), Verdict::Fail);
}
