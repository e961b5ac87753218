//! The id that brokers give a topic when it is created. librdkafka tells it (DescribeTopics, since 2.3),
//! but rust-rdkafka 0.39 doesn't wrap that call, so this file does.
#![allow(unsafe_code, reason = "rust-rdkafka has no safe form of this one call")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;

/// The topic's id as the brokers print it (base64), or `None` when they tell none. Asks the broker of
/// that number. Blocks for at most `timeout`.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    broker: i32,
    timeout: Duration,
) -> Option<String> {
    let topic = CString::new(topic).ok()?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut names = [topic.as_ptr()];
    // SAFETY: `client` is alive for the whole call, so its handle is. `names` and the string it points
    // to are too; the collection copies them. Each object made here is freed exactly once, by its guard,
    // after the last use; the answer's guard is the last one made, so it is the first one dropped, and
    // the id is copied out of the answer before. librdkafka never answers into a queue that is gone: the
    // request holds a reference of its own to the queue.
    unsafe {
        let handle = client.native_ptr();
        let names = Owned::new(
            native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            native::rd_kafka_TopicCollection_destroy,
        )?;
        let options = Owned::new(
            native::rd_kafka_AdminOptions_new(
                handle,
                native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            native::rd_kafka_AdminOptions_destroy,
        )?;
        // Options it doesn't take leave the defaults: the controller is asked, for a time that the wait
        // below bounds all the same.
        native::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            timeout_ms,
            ptr::null_mut(),
            0,
        );
        native::rd_kafka_AdminOptions_set_broker(options.0, broker, ptr::null_mut(), 0);
        let queue = Owned::new(native::rd_kafka_queue_new(handle), native::rd_kafka_queue_destroy)?;
        native::rd_kafka_DescribeTopics(handle, names.0, options.0, queue.0);
        let answer = Owned::new(
            native::rd_kafka_queue_poll(queue.0, timeout_ms),
            native::rd_kafka_event_destroy,
        )?;
        id_in(answer.0)
    }
}

/// # Safety
/// `answer` must be a live event.
unsafe fn id_in(answer: *mut native::rd_kafka_event_t) -> Option<String> {
    // SAFETY: every function here takes what the one before gave, checked for null; all of it belongs to
    // the event, which the caller keeps alive, and the text is copied.
    unsafe {
        let result = native::rd_kafka_event_DescribeTopics_result(answer);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let topics = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return None;
        }
        let id = native::rd_kafka_TopicDescription_topic_id(*topics);
        // A topic that couldn't be described, and one of brokers before 2.8, has the id zero.
        if id.is_null()
            || (native::rd_kafka_Uuid_most_significant_bits(id) == 0
                && native::rd_kafka_Uuid_least_significant_bits(id) == 0)
        {
            return None;
        }
        let text = native::rd_kafka_Uuid_base64str(id);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Frees one of librdkafka's objects when dropped.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    /// `free` must be what frees `object`, and nobody else may free it.
    unsafe fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!object.is_null()).then_some(Self(object, free))
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new`'s caller promised that this is the one way to free it.
        unsafe { (self.1)(self.0) }
    }
}
