//! Power and rebooting of nodes.
