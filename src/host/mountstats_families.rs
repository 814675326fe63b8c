//! The families of [`mountstats`](super::mountstats), in the kernel's order, each with the column it stands in.

use crate::exposition::Family;

pub(super) static POINT: Family = Family::gauge("node_mountstats_nfs_mountpoint_info", "Where the export is mounted; 1.");

pub(super) static AGE: [(usize, Family); 1] =
    [(0, Family::counter("node_mountstats_nfs_age_seconds_total", "How long it has been mounted: line age, in seconds."))];

/// Line events. Column 18 is not shown by node_exporter.
pub(super) static EVENTS: [(usize, Family); 26] = [
    (
        0,
        Family::counter("node_mountstats_nfs_event_inode_revalidate_total", "Inodes whose attributes were checked: line events."),
    ),
    (1, Family::counter("node_mountstats_nfs_event_dnode_revalidate_total", "Directory entries that were checked: line events.")),
    (
        2,
        Family::counter("node_mountstats_nfs_event_data_invalidate_total", "Inodes whose cached data were dropped: line events."),
    ),
    (
        3,
        Family::counter(
            "node_mountstats_nfs_event_attribute_invalidate_total",
            "Inodes whose cached attributes were dropped: line events.",
        ),
    ),
    (4, Family::counter("node_mountstats_nfs_event_vfs_open_total", "Files and directories opened: line events.")),
    (5, Family::counter("node_mountstats_nfs_event_vfs_lookup_total", "Names looked up: line events.")),
    (6, Family::counter("node_mountstats_nfs_event_vfs_access_total", "Permissions checked: line events.")),
    (7, Family::counter("node_mountstats_nfs_event_vfs_update_page_total", "Writes to a page, begun: line events.")),
    (8, Family::counter("node_mountstats_nfs_event_vfs_read_page_total", "Pages read one by one: line events.")),
    (9, Family::counter("node_mountstats_nfs_event_vfs_read_pages_total", "Groups of pages read: line events.")),
    (10, Family::counter("node_mountstats_nfs_event_vfs_write_page_total", "Pages written one by one: line events.")),
    (11, Family::counter("node_mountstats_nfs_event_vfs_write_pages_total", "Groups of pages written: line events.")),
    (12, Family::counter("node_mountstats_nfs_event_vfs_getdents_total", "Directories listed: line events.")),
    (13, Family::counter("node_mountstats_nfs_event_vfs_setattr_total", "Attributes set: line events.")),
    (14, Family::counter("node_mountstats_nfs_event_vfs_flush_total", "Files flushed as they were closed: line events.")),
    (15, Family::counter("node_mountstats_nfs_event_vfs_fsync_total", "Files and directories synced: line events.")),
    (16, Family::counter("node_mountstats_nfs_event_vfs_lock_total", "Locks tried: line events.")),
    (17, Family::counter("node_mountstats_nfs_event_vfs_file_release_total", "Files and directories let go: line events.")),
    (19, Family::counter("node_mountstats_nfs_event_truncation_total", "Files made shorter: line events.")),
    (20, Family::counter("node_mountstats_nfs_event_write_extension_total", "Files made longer by a write: line events.")),
    (21, Family::counter("node_mountstats_nfs_event_silly_rename_total", "Files removed while open: line events.")),
    (22, Family::counter("node_mountstats_nfs_event_short_read_total", "Reads with less than was asked for: line events.")),
    (23, Family::counter("node_mountstats_nfs_event_short_write_total", "Writes of less than was asked for: line events.")),
    (
        24,
        Family::counter(
            "node_mountstats_nfs_event_jukebox_delay_total",
            "Answers by which the server asked to come again later: line events.",
        ),
    ),
    (25, Family::counter("node_mountstats_nfs_event_pnfs_read_total", "Reads by pNFS: line events.")),
    (26, Family::counter("node_mountstats_nfs_event_pnfs_write_total", "Writes by pNFS: line events.")),
];

/// Line bytes.
pub(super) static BYTES: [(usize, Family); 8] = [
    (0, Family::counter("node_mountstats_nfs_read_bytes_total", "Bytes read by read(2): line bytes.")),
    (1, Family::counter("node_mountstats_nfs_write_bytes_total", "Bytes written by write(2): line bytes.")),
    (2, Family::counter("node_mountstats_nfs_direct_read_bytes_total", "Bytes read past the cache: line bytes.")),
    (3, Family::counter("node_mountstats_nfs_direct_write_bytes_total", "Bytes written past the cache: line bytes.")),
    (4, Family::counter("node_mountstats_nfs_total_read_bytes_total", "Bytes read from the server: line bytes.")),
    (5, Family::counter("node_mountstats_nfs_total_write_bytes_total", "Bytes written to the server: line bytes.")),
    (6, Family::counter("node_mountstats_nfs_read_pages_total", "Pages read by mapping or reading ahead: line bytes.")),
    (7, Family::counter("node_mountstats_nfs_write_pages_total", "Pages written by mapping: line bytes.")),
];

/// Lines xprt, as TCP has them. The columns 0 (port), 3 (time to connect) and 8 (requests under way) are not shown by node_exporter.
pub(super) static TRANSPORT: [(usize, Family); 10] = [
    (1, Family::counter("node_mountstats_nfs_transport_bind_total", "Ports taken: line xprt.")),
    (2, Family::counter("node_mountstats_nfs_transport_connect_total", "Connections made: line xprt.")),
    (4, Family::gauge("node_mountstats_nfs_transport_idle_time_seconds", "Seconds since the last request: line xprt.")),
    (5, Family::counter("node_mountstats_nfs_transport_sends_total", "Requests sent: line xprt.")),
    (6, Family::counter("node_mountstats_nfs_transport_receives_total", "Answers received: line xprt.")),
    (7, Family::counter("node_mountstats_nfs_transport_bad_transaction_ids_total", "Answers to no request of ours: line xprt.")),
    (
        9,
        Family::counter(
            "node_mountstats_nfs_transport_backlog_queue_total",
            "Requests that waited for a slot, summed at each request: line xprt.",
        ),
    ),
    (10, Family::gauge("node_mountstats_nfs_transport_maximum_rpc_slots", "The most slots used at once: line xprt.")),
    (
        11,
        Family::counter(
            "node_mountstats_nfs_transport_sending_queue_total",
            "Requests that waited to be sent, summed at each request: line xprt.",
        ),
    ),
    (
        12,
        Family::counter(
            "node_mountstats_nfs_transport_pending_queue_total",
            "Requests that waited for an answer, summed at each request: line xprt.",
        ),
    ),
];

/// What is counted of each operation.
pub(super) static OPERATIONS: [Family; 5] = [
    Family::counter("node_mountstats_nfs_operations_requests_total", "Requests, by operation: per-op statistics."),
    Family::counter(
        "node_mountstats_nfs_operations_transmissions_total",
        "Requests sent, those sent once more included, by operation: per-op statistics.",
    ),
    Family::counter(
        "node_mountstats_nfs_operations_major_timeouts_total",
        "Requests that were given up for a while, by operation: per-op statistics.",
    ),
    Family::counter("node_mountstats_nfs_operations_sent_bytes_total", "Bytes sent, by operation: per-op statistics."),
    Family::counter("node_mountstats_nfs_operations_received_bytes_total", "Bytes received, by operation: per-op statistics."),
];

/// The times of each operation, which follow the counts.
pub(super) static OPERATION_TIMES: [Family; 3] = [
    Family::counter(
        "node_mountstats_nfs_operations_queue_time_seconds_total",
        "Seconds before requests were sent, by operation: per-op statistics.",
    ),
    Family::counter(
        "node_mountstats_nfs_operations_response_time_seconds_total",
        "Seconds from sending to the answer, by operation: per-op statistics.",
    ),
    Family::counter(
        "node_mountstats_nfs_operations_request_time_seconds_total",
        "Seconds from beginning to end, by operation: per-op statistics.",
    ),
];
