//! Fork, report pipe, deadline, reap, batches, signals, adoption of inherited descriptors.
