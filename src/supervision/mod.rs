//! OTP for actix: hears every death, restarts with a new actor, a new mailbox and a back-off, parks what keeps failing.
//! It knows no actor of ours.
