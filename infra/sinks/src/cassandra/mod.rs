//! Upserted rows in Apache Cassandra.
