//! What a node says of its network adapters: from the kernel, to XML, to the nics column.
