//! Upserted rows and exact counters in MySQL and MariaDB.
