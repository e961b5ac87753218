//! What the pages are made with: server, headers, charts. Knows nothing of streams.
