//! Splitting and merging, held against each other.
