//! xcatrequest and xcatresponse, their limits, and how a node finds and asks its master.
