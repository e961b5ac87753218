//! What brokers tell of topics, groups and themselves, rights included. librdkafka asks them (since 2.3), but
//! rust-rdkafka 0.39 doesn't wrap these calls, so this file does.
#![allow(unsafe_code, reason = "rust-rdkafka has no safe form of these calls")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode as Code;

/// Kafka's operations that we may do, by their names in upper case ("READ"); `None`: the brokers don't tell.
pub(super) type May = Option<Vec<String>>;

/// A topic, as the brokers describe it.
#[derive(Debug)]
pub(super) struct DescribedTopic {
    /// As the brokers print it (base64); `None`: they give none (before 2.8).
    pub(super) id: Option<String>,
    pub(super) may: May,
}

/// A consumer group, as the brokers describe it.
#[derive(Debug)]
pub(super) struct DescribedGroup {
    /// "Stable", "Empty".
    pub(super) state: String,
    /// "Classic", "Consumer".
    pub(super) kind: String,
    pub(super) members: usize,
    pub(super) may: May,
}

/// Describes a topic; asks the broker of that number (-1: any). Blocks for at most `timeout`.
pub(super) fn topic<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    broker: i32,
    rights: bool,
    timeout: Duration,
) -> Result<DescribedTopic, Code> {
    let name = CString::new(name).map_err(|_| Code::InvalidTopic)?;
    let mut names = [name.as_ptr()];
    let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let asking = Asking { kind, broker, rights, timeout };
    // SAFETY: `names` and the string it points to live until the collection has copied them; the collection
    // is freed once, by its guard, after the request that copies it. What is read of the answer belongs to
    // it, is checked for null and copied before its guard frees it.
    unsafe {
        let names = Owned::new(
            native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            native::rd_kafka_TopicCollection_destroy,
        )?;
        let answer = asking.ask(client, |handle, options, queue| {
            native::rd_kafka_DescribeTopics(handle, names.0, options, queue);
        })?;
        let result = present(native::rd_kafka_event_DescribeTopics_result(answer.0))?;
        let mut count = 0;
        let topics = present(native::rd_kafka_DescribeTopics_result_topics(result, &mut count))?;
        let found = present(if count == 0 { ptr::null() } else { *topics })?;
        check(native::rd_kafka_TopicDescription_error(found))?;
        let mut operations = 0;
        let may = native::rd_kafka_TopicDescription_authorized_operations(found, &mut operations);
        Ok(DescribedTopic {
            id: uuid(native::rd_kafka_TopicDescription_topic_id(found)),
            may: names_of(may, operations),
        })
    }
}

/// Describes a consumer group; one that isn't there is "Dead". Blocks for at most `timeout`.
pub(super) fn group<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
) -> Result<DescribedGroup, Code> {
    let name = CString::new(name).map_err(|_| Code::InvalidGroupId)?;
    let mut names = [name.as_ptr()];
    let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let asking = Asking { kind, broker: -1, rights: true, timeout };
    // SAFETY: as in `topic`; librdkafka copies the names when it is called.
    unsafe {
        let answer = asking.ask(client, |handle, options, queue| {
            let names = names.as_mut_ptr();
            native::rd_kafka_DescribeConsumerGroups(handle, names, 1, options, queue);
        })?;
        let result = present(native::rd_kafka_event_DescribeConsumerGroups_result(answer.0))?;
        let mut count = 0;
        let groups =
            present(native::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count))?;
        let found = present(if count == 0 { ptr::null() } else { *groups })?;
        check(native::rd_kafka_ConsumerGroupDescription_error(found))?;
        let mut operations = 0;
        let may =
            native::rd_kafka_ConsumerGroupDescription_authorized_operations(found, &mut operations);
        let state = native::rd_kafka_ConsumerGroupDescription_state(found);
        let kind = native::rd_kafka_ConsumerGroupDescription_type(found);
        Ok(DescribedGroup {
            state: text(native::rd_kafka_consumer_group_state_name(state)),
            kind: text(native::rd_kafka_consumer_group_type_name(kind)),
            members: native::rd_kafka_ConsumerGroupDescription_member_count(found),
            may: names_of(may, operations),
        })
    }
}

/// What we may do with the cluster as a whole. Blocks for at most `timeout`.
pub(super) fn cluster<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
) -> Result<May, Code> {
    let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER;
    let asking = Asking { kind, broker: -1, rights: true, timeout };
    // SAFETY: what is read of the answer belongs to it, and is copied before its guard frees it.
    unsafe {
        let answer = asking.ask(client, |handle, options, queue| {
            native::rd_kafka_DescribeCluster(handle, options, queue);
        })?;
        let result = present(native::rd_kafka_event_DescribeCluster_result(answer.0))?;
        let mut count = 0;
        let may = native::rd_kafka_DescribeCluster_result_authorized_operations(result, &mut count);
        Ok(names_of(may, count))
    }
}

/// One question to the cluster.
struct Asking {
    kind: native::rd_kafka_admin_op_t,
    broker: i32,
    rights: bool,
    timeout: Duration,
}

impl Asking {
    /// Sends it by `send(handle, options, queue)` and waits for the answer.
    ///
    /// # Safety
    /// `send` must do nothing with the three but hand them to one admin call of this kind.
    unsafe fn ask<C: ClientContext>(
        &self,
        client: &Client<C>,
        send: impl FnOnce(
            *mut native::rd_kafka_t,
            *mut native::rd_kafka_AdminOptions_t,
            *mut native::rd_kafka_queue_t,
        ),
    ) -> Result<Owned<native::rd_kafka_event_t>, Code> {
        let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: `client` is alive for the whole call, so its handle is. Each object made here is freed
        // exactly once, by its guard, after the last use; the answer outlives queue and options, on which it
        // doesn't rest. librdkafka never answers into a queue that is gone: the request holds a reference of
        // its own to the queue.
        unsafe {
            let handle = client.native_ptr();
            let options = Owned::new(
                native::rd_kafka_AdminOptions_new(handle, self.kind),
                native::rd_kafka_AdminOptions_destroy,
            )?;
            let (no_text, no_room) = (ptr::null_mut::<c_char>(), 0);
            // Options it doesn't take leave the defaults: the controller is asked, for a time that the wait
            // below bounds all the same.
            native::rd_kafka_AdminOptions_set_request_timeout(
                options.0, timeout_ms, no_text, no_room,
            );
            if self.broker >= 0 {
                native::rd_kafka_AdminOptions_set_broker(options.0, self.broker, no_text, no_room);
            }
            if self.rights {
                let refused =
                    native::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
                if !refused.is_null() {
                    native::rd_kafka_error_destroy(refused);
                }
            }
            let queue =
                Owned::new(native::rd_kafka_queue_new(handle), native::rd_kafka_queue_destroy)?;
            send(handle, options.0, queue.0);
            let answer = native::rd_kafka_queue_poll(queue.0, timeout_ms);
            if answer.is_null() {
                return Err(Code::OperationTimedOut);
            }
            let answer = Owned::new(answer, native::rd_kafka_event_destroy)?;
            match native::rd_kafka_event_error(answer.0) {
                native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(answer),
                error => Err(error.into()),
            }
        }
    }
}

/// # Safety
/// `id` must be null or a live id.
unsafe fn uuid(id: *const native::rd_kafka_Uuid_t) -> Option<String> {
    // SAFETY: checked for null; the text belongs to the id and is copied.
    unsafe {
        let is_zero = id.is_null()
            || (native::rd_kafka_Uuid_most_significant_bits(id) == 0
                && native::rd_kafka_Uuid_least_significant_bits(id) == 0);
        // As Kafka's own tools print it: the alphabet for URLs.
        (!is_zero)
            .then(|| text(native::rd_kafka_Uuid_base64str(id)).replace('/', "_").replace('+', "-"))
    }
}

/// # Safety
/// `operations` must be null or point to `count` of them.
unsafe fn names_of(operations: *const native::rd_kafka_AclOperation_t, count: usize) -> May {
    if operations.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; the names are constants.
    let name = |place| unsafe { text(native::rd_kafka_AclOperation_name(*operations.add(place))) };
    Some((0..count).map(name).collect())
}

/// # Safety
/// `error` must be null or a live error.
unsafe fn check(error: *const native::rd_kafka_error_t) -> Result<(), Code> {
    // SAFETY: checked for null (no error), and by librdkafka, too.
    match unsafe { native::rd_kafka_error_code(error) } {
        native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// # Safety
/// `text` must be null or a live C string; it is copied.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn present<T>(pointer: *const T) -> Result<*const T, Code> {
    if pointer.is_null() { Err(Code::BadMessage) } else { Ok(pointer) }
}

/// Frees one of librdkafka's objects when dropped.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    /// `free` must be what frees `object`, and nobody else may free it.
    unsafe fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, Code> {
        if object.is_null() { Err(Code::CriticalSystemResource) } else { Ok(Self(object, free)) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new`'s caller promised that this is the one way to free it.
        unsafe { (self.1)(self.0) }
    }
}
