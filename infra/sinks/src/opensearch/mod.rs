//! Search indexes on an OpenSearch or Elasticsearch server, over HTTP.
