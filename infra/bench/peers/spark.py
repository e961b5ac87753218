"""The bench's work in Spark Structured Streaming: `spark.py parquet|wordcount BROKERS TOPIC OUT JAR,JAR…`.

What is there is worked off (availableNow), with a checkpoint in OUT, as a job would have it. Spark gets what helps it: an
explicit schema, as many shuffle partitions as cores instead of 200, no UI, big batches.
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

VITALS = (
    "patient_id STRING, ts TIMESTAMP, heart_rate BIGINT, spo2 DOUBLE, lat DOUBLE, lon DOUBLE, device STRING"
)


def main(work, brokers, topic, out, jars):
    spark = (
        SparkSession.builder.master("local[*]")
        .appName("bench")
        .config("spark.jars", jars)
        .config("spark.driver.memory", "2g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(os.cpu_count()))
        .config("spark.sql.parquet.compression.codec", "snappy")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    events = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", brokers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .load()
    )
    running = {"parquet": parquet, "wordcount": wordcount}[work](events, out)
    running.awaitTermination()
    spark.stop()


def parquet(events, out):
    rows = events.select(f.from_json(f.col("value").cast("string"), VITALS).alias("v")).select(
        "v.*",
        ((f.col("v.heart_rate") > 120) | (f.col("v.spo2") < 90)).alias("alert"),
        f.to_date("v.ts").alias("date"),
    )
    return (
        rows.writeStream.format("parquet")
        .option("path", f"{out}/vitals")
        .option("checkpointLocation", f"{out}/checkpoint")
        .partitionBy("date")
        .trigger(availableNow=True)
        .start()
    )


def wordcount(events, out):
    text = f.from_json(f.col("value").cast("string"), "text STRING").getField("text")
    words = events.select(f.explode(f.split(f.lower(text), r"[^\p{L}\p{M}\p{Nd}]+")).alias("word"))
    counts = words.where("word <> ''").groupBy("word").count()

    def keep(rows, _):
        rows.coalesce(1).write.mode("overwrite").parquet(f"{out}/counts")

    return (
        counts.writeStream.outputMode("complete")
        .foreachBatch(keep)
        .option("checkpointLocation", f"{out}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
