//! Each app on Kafka and the stores it has in production: what the servers' own clients show in them is what Kafka's
//! console consumer shows in the topic, also when three workers are killed again and again.

#![cfg(test)]

mod health;
mod recalls;
mod users;
mod weather;
mod wordcount;
