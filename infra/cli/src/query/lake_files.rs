//! How DataFusion reads a lake's Parquet files: through the lake's store, footers and the columns it needs only.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::error::Result as PlanResult;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use millstream_sinks::lake::{CommittedFile, Store};

/// Bytes of a file's end that are read first: they hold the footers of most files.
const FOOTER: usize = 64 << 10;
/// Ranges nearer to each other than this are read as one: a request takes longer than so many bytes do.
const GAP: u64 = 256 << 10;
/// Ranges read at once of one file.
const AT_ONCE: usize = 4;

/// Readers of committed files.
#[derive(Debug)]
pub struct LakeFiles(pub Arc<dyn Store>);

impl ParquetFileReaderFactory for LakeFiles {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> PlanResult<Box<dyn AsyncFileReader + Send>> {
        let committed = file.extensions.get::<CommittedFile>().cloned().ok_or_else(|| {
            DataFusionError::Internal(format!("{} is no committed file", file.path()))
        })?;
        Ok(Box::new(LakeFile { store: self.0.clone(), committed }))
    }
}

struct LakeFile {
    store: Arc<dyn Store>,
    committed: CommittedFile,
}

impl LakeFile {
    async fn read(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        let (path, wanted) = (&self.committed.path, range.end - range.start);
        let read = self.store.get_range(path, range).await;
        let read = read.map_err(|error| ParquetError::External(error.into()))?;
        match read {
            Some(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            found => {
                let found = found.map_or("missing".to_owned(), |_| "shorter than that".to_owned());
                let size = self.committed.bytes;
                Err(ParquetError::General(format!(
                    "{path} of the lake, {size} committed bytes, is {found}; restore it from a backup"
                )))
            }
        }
    }
}

impl AsyncFileReader for LakeFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.read(range).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let this = &*self;
        async move {
            let together = merged(&ranges);
            let reads: Vec<_> = together.iter().map(|range| this.read(range.clone())).collect();
            let read: Vec<Bytes> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
            let cut = |range: &Range<u64>| {
                // The last one that begins no later holds it: that is what merging means.
                let holder = together.partition_point(|held| held.start <= range.start) - 1;
                let from = (range.start - together[holder].start) as usize;
                read[holder].slice(from..from + (range.end - range.start) as usize)
            };
            Ok(ranges.iter().map(cut).collect())
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let size = self.committed.bytes;
        async move {
            let policy =
                options.map_or(PageIndexPolicy::Skip, ArrowReaderOptions::column_index_policy);
            let reader = ParquetMetaDataReader::new()
                .with_page_index_policy(policy)
                .with_prefetch_hint(Some(FOOTER));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

/// Sorted, with those put together that touch or nearly do.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = vec![];
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use millstream_sinks::lake::{Format, MemoryStore, Put};

    use super::*;

    #[test]
    fn near_ranges_become_one() {
        assert_eq!(merged(&[]), vec![]);
        assert_eq!(merged(&[5..9, 0..5, 7..8]), vec![0..9]);
        assert_eq!(merged(&[GAP + 1..GAP + 2, 0..1]), vec![0..GAP + 2]);
        assert_eq!(merged(&[GAP + 2..GAP + 3, 0..1]), vec![0..1, GAP + 2..GAP + 3]);
    }

    #[tokio::test]
    async fn each_range_gets_its_own_bytes() {
        let content: Vec<u8> = (0..3 * GAP as u32).map(|n| (n % 251) as u8).collect();
        let store = MemoryStore::new();
        store.put("t/x", content.clone().into(), Put::IfAbsent).await.unwrap();
        let committed = CommittedFile {
            path: "t/x".into(),
            partition_values: vec![],
            rows: 1,
            bytes: content.len() as u64,
            format: Format::Parquet,
            crc32: 0,
        };
        let mut file = LakeFile { store: Arc::new(store), committed };
        let ranges = vec![2 * GAP + 5..2 * GAP + 9, 3..3, 0..10, 4..7];
        let read = file.get_byte_ranges(ranges.clone()).await.unwrap();
        for (range, bytes) in ranges.iter().zip(read) {
            assert_eq!(bytes, content[range.start as usize..range.end as usize], "{range:?}");
        }
        let beyond = file.get_bytes(3 * GAP - 1..3 * GAP + 1).await.unwrap_err().to_string();
        assert!(beyond.contains("t/x") && beyond.contains("shorter"), "{beyond}");
    }
}
