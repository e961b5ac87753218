use millstream_config::EndpointError;
use millstream_engine::SinkError;

/// A server's URL that can't be meant, as a sink's error.
pub(crate) fn refused(error: EndpointError) -> SinkError {
    SinkError::refused(format!("read {}", error.key), error.why, error.remedy)
}
