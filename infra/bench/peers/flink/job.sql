-- The bench's work in Flink SQL: what is in the topic now, to Parquet by date. Flink gets what helps it: an explicit schema,
-- a subtask per core, checkpoints no more often than our ranges.
SET 'execution.target' = 'local';
SET 'parallelism.default' = '@CORES@';
SET 'execution.checkpointing.interval' = '10 s';
SET 'table.dml-sync' = 'true';
SET 'table.local-time-zone' = 'UTC';

CREATE TABLE vitals (
    patient_id STRING, ts TIMESTAMP_LTZ(3), heart_rate BIGINT, spo2 DOUBLE, lat DOUBLE, lon DOUBLE, device STRING
) WITH (
    'connector' = 'kafka', 'topic' = '@TOPIC@', 'properties.bootstrap.servers' = '@BROKERS@',
    'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
    'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TABLE lake (
    patient_id STRING, ts TIMESTAMP_LTZ(3), heart_rate BIGINT, spo2 DOUBLE, lat DOUBLE, lon DOUBLE, device STRING, alert BOOLEAN,
    `date` STRING
) PARTITIONED BY (`date`) WITH (
    'connector' = 'filesystem', 'path' = 'file://@OUT@/vitals', 'format' = 'parquet', 'parquet.compression' = 'SNAPPY'
);

INSERT INTO lake SELECT *, heart_rate > 120 OR spo2 < 90, DATE_FORMAT(ts, 'yyyy-MM-dd') FROM vitals;
