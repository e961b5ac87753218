//! The workers' console: who works on what, how far, how fast.
