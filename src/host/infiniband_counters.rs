//! The counters of an InfiniBand port: their families and files.

use crate::exposition::Family;

/// In `counters`, as the InfiniBand specification has them.
#[rustfmt::skip]
pub(super) static COUNTERS: [(Family, &str); 22] = [
    (Family::counter("node_infiniband_excessive_buffer_overrun_errors_total", "Times that packets overran the port's buffers: counters/excessive_buffer_overrun_errors."), "excessive_buffer_overrun_errors"),
    (Family::counter("node_infiniband_link_downed_total", "Times that the link went down: counters/link_downed."), "link_downed"),
    (Family::counter("node_infiniband_link_error_recovery_total", "Times that the link mended itself: counters/link_error_recovery."), "link_error_recovery"),
    (Family::counter("node_infiniband_local_link_integrity_errors_total", "Times that the link's own errors passed their limit: counters/local_link_integrity_errors."), "local_link_integrity_errors"),
    (Family::counter("node_infiniband_multicast_packets_received_total", "Multicast packets received: counters/multicast_rcv_packets."), "multicast_rcv_packets"),
    (Family::counter("node_infiniband_multicast_packets_transmitted_total", "Multicast packets sent: counters/multicast_xmit_packets."), "multicast_xmit_packets"),
    (Family::counter("node_infiniband_port_constraint_errors_received_total", "Packets received that the switch's rules forbid: counters/port_rcv_constraint_errors."), "port_rcv_constraint_errors"),
    (Family::counter("node_infiniband_port_constraint_errors_transmitted_total", "Packets not sent as the switch's rules forbid them: counters/port_xmit_constraint_errors."), "port_xmit_constraint_errors"),
    (Family::counter("node_infiniband_port_data_received_bytes_total", "Bytes received, in words of four there: counters/port_rcv_data."), "port_rcv_data"),
    (Family::counter("node_infiniband_port_data_transmitted_bytes_total", "Bytes sent, in words of four there: counters/port_xmit_data."), "port_xmit_data"),
    (Family::counter("node_infiniband_port_discards_received_total", "Packets received and thrown away: counters/port_rcv_discards."), "port_rcv_discards"),
    (Family::counter("node_infiniband_port_discards_transmitted_total", "Packets thrown away instead of sent: counters/port_xmit_discards."), "port_xmit_discards"),
    (Family::counter("node_infiniband_port_errors_received_total", "Packets received with errors: counters/port_rcv_errors."), "port_rcv_errors"),
    (Family::counter("node_infiniband_port_packets_received_total", "Packets received: counters/port_rcv_packets."), "port_rcv_packets"),
    (Family::counter("node_infiniband_port_packets_transmitted_total", "Packets sent: counters/port_xmit_packets."), "port_xmit_packets"),
    (Family::counter("node_infiniband_port_receive_remote_physical_errors_total", "Packets received that another port marked as bad: counters/port_rcv_remote_physical_errors."), "port_rcv_remote_physical_errors"),
    (Family::counter("node_infiniband_port_receive_switch_relay_errors_total", "Packets that the switch could not pass on: counters/port_rcv_switch_relay_errors."), "port_rcv_switch_relay_errors"),
    (Family::counter("node_infiniband_port_transmit_wait_total", "Ticks in which data waited to be sent: counters/port_xmit_wait."), "port_xmit_wait"),
    (Family::counter("node_infiniband_symbol_error_total", "Minor errors of the link: counters/symbol_error."), "symbol_error"),
    (Family::counter("node_infiniband_unicast_packets_received_total", "Unicast packets received: counters/unicast_rcv_packets."), "unicast_rcv_packets"),
    (Family::counter("node_infiniband_unicast_packets_transmitted_total", "Unicast packets sent: counters/unicast_xmit_packets."), "unicast_xmit_packets"),
    (Family::counter("node_infiniband_vl15_dropped_total", "Packets of the subnet's management dropped: counters/VL15_dropped."), "VL15_dropped"),
];

/// In `counters_ext`, of kernels before 4.5.
#[rustfmt::skip]
pub(super) static LEGACY: [(Family, &str); 8] = [
    (Family::counter("node_infiniband_legacy_data_received_bytes_total", "Bytes received, in words of four there: counters_ext/port_rcv_data_64."), "port_rcv_data_64"),
    (Family::counter("node_infiniband_legacy_data_transmitted_bytes_total", "Bytes sent, in words of four there: counters_ext/port_xmit_data_64."), "port_xmit_data_64"),
    (Family::counter("node_infiniband_legacy_multicast_packets_received_total", "Multicast packets received: counters_ext/port_multicast_rcv_packets."), "port_multicast_rcv_packets"),
    (Family::counter("node_infiniband_legacy_multicast_packets_transmitted_total", "Multicast packets sent: counters_ext/port_multicast_xmit_packets."), "port_multicast_xmit_packets"),
    (Family::counter("node_infiniband_legacy_packets_received_total", "Packets received: counters_ext/port_rcv_packets_64."), "port_rcv_packets_64"),
    (Family::counter("node_infiniband_legacy_packets_transmitted_total", "Packets sent: counters_ext/port_xmit_packets_64."), "port_xmit_packets_64"),
    (Family::counter("node_infiniband_legacy_unicast_packets_received_total", "Unicast packets received: counters_ext/port_unicast_rcv_packets."), "port_unicast_rcv_packets"),
    (Family::counter("node_infiniband_legacy_unicast_packets_transmitted_total", "Unicast packets sent: counters_ext/port_unicast_xmit_packets."), "port_unicast_xmit_packets"),
];

/// In `hw_counters`, as the drivers of Mellanox and Intel have them.
#[rustfmt::skip]
pub(super) static HARDWARE: [(Family, &str); 29] = [
    (Family::counter("node_infiniband_duplicate_requests_packets_total", "Requests that had been received before: hw_counters/duplicate_request."), "duplicate_request"),
    (Family::counter("node_infiniband_implied_nak_seq_errors_total", "Answers that came out of order, requester's side: hw_counters/implied_nak_seq_err."), "implied_nak_seq_err"),
    (Family::counter("node_infiniband_local_ack_timeout_errors_total", "Answers that did not come in time: hw_counters/local_ack_timeout_err."), "local_ack_timeout_err"),
    (Family::counter("node_infiniband_np_cnp_packets_sent_total", "Notifications of congestion sent: hw_counters/np_cnp_sent."), "np_cnp_sent"),
    (Family::counter("node_infiniband_np_ecn_marked_roce_packets_received_total", "RoCE packets received with a mark of congestion: hw_counters/np_ecn_marked_roce_packets."), "np_ecn_marked_roce_packets"),
    (Family::counter("node_infiniband_out_of_buffer_drops_total", "Packets dropped for lack of a receive buffer: hw_counters/out_of_buffer."), "out_of_buffer"),
    (Family::counter("node_infiniband_out_of_sequence_packets_received_total", "Packets received out of order: hw_counters/out_of_sequence."), "out_of_sequence"),
    (Family::counter("node_infiniband_packet_sequence_errors_total", "Refusals received for packets out of order: hw_counters/packet_seq_err."), "packet_seq_err"),
    (Family::counter("node_infiniband_req_cqes_errors_total", "Requests that completed with an error: hw_counters/req_cqe_error."), "req_cqe_error"),
    (Family::counter("node_infiniband_req_cqes_flush_errors_total", "Requests that were flushed: hw_counters/req_cqe_flush_error."), "req_cqe_flush_error"),
    (Family::counter("node_infiniband_req_remote_access_errors_total", "Requests refused by the other side's rights: hw_counters/req_remote_access_errors."), "req_remote_access_errors"),
    (Family::counter("node_infiniband_req_remote_invalid_request_errors_total", "Requests refused as invalid by the other side: hw_counters/req_remote_invalid_request."), "req_remote_invalid_request"),
    (Family::counter("node_infiniband_resp_cqes_errors_total", "Answers that completed with an error: hw_counters/resp_cqe_error."), "resp_cqe_error"),
    (Family::counter("node_infiniband_resp_cqes_flush_errors_total", "Answers that were flushed: hw_counters/resp_cqe_flush_error."), "resp_cqe_flush_error"),
    (Family::counter("node_infiniband_resp_local_length_errors_total", "Requests received of a wrong length: hw_counters/resp_local_length_error."), "resp_local_length_error"),
    (Family::counter("node_infiniband_resp_remote_access_errors_total", "Requests received and refused for lack of rights: hw_counters/resp_remote_access_errors."), "resp_remote_access_errors"),
    (Family::counter("node_infiniband_rnr_nak_retry_packets_received_total", "Refusals received as the other side was not ready: hw_counters/rnr_nak_retry_err."), "rnr_nak_retry_err"),
    (Family::counter("node_infiniband_roce_adp_retransmits_timeout_total", "RoCE timeouts due to adaptive retransmission: hw_counters/roce_adp_retrans_to."), "roce_adp_retrans_to"),
    (Family::counter("node_infiniband_roce_adp_retransmits_total", "RoCE packets sent again by adaptive retransmission: hw_counters/roce_adp_retrans."), "roce_adp_retrans"),
    (Family::counter("node_infiniband_roce_slow_restart_cnps_total", "Notifications of congestion made by RoCE slow restart: hw_counters/roce_slow_restart_cnps."), "roce_slow_restart_cnps"),
    (Family::counter("node_infiniband_roce_slow_restart_total", "Times that RoCE slow restart became slow: hw_counters/roce_slow_restart_trans."), "roce_slow_restart_trans"),
    (Family::counter("node_infiniband_roce_slow_restart_used_total", "Times that RoCE slow restart was used: hw_counters/roce_slow_restart."), "roce_slow_restart"),
    (Family::counter("node_infiniband_rp_cnp_ignored_packets_received_total", "Notifications of congestion received and ignored: hw_counters/rp_cnp_ignored."), "rp_cnp_ignored"),
    (Family::counter("node_infiniband_rp_cnp_packets_handled_total", "Notifications of congestion received and obeyed: hw_counters/rp_cnp_handled."), "rp_cnp_handled"),
    (Family::counter("node_infiniband_rx_atomic_requests_total", "Atomic requests received: hw_counters/rx_atomic_requests."), "rx_atomic_requests"),
    (Family::counter("node_infiniband_rx_dct_connect_requests_total", "Requests received to connect dynamically: hw_counters/rx_dct_connect."), "rx_dct_connect"),
    (Family::counter("node_infiniband_rx_icrc_encapsulated_errors_total", "RoCE packets received with a wrong checksum: hw_counters/rx_icrc_encapsulated."), "rx_icrc_encapsulated"),
    (Family::counter("node_infiniband_rx_read_requests_total", "Read requests received: hw_counters/rx_read_requests."), "rx_read_requests"),
    (Family::counter("node_infiniband_rx_write_requests_total", "Write requests received: hw_counters/rx_write_requests."), "rx_write_requests"),
];
