//! Images loaded onto the disks of nodes: the work of osload.

pub mod serve;
