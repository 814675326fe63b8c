//! Families of containers that cAdvisor has not.

/// Ours beyond the contract.
pub const BEYOND: [&str; 24] = [
    "container_disk_measured_time_seconds",
    "container_disk_stuck_walks",
    "container_engine_last_error_info",
    "container_engine_stats_streams",
    "container_engine_unnamed_containers",
    "container_engine_up",
    "container_exit_code",
    "container_finish_time_seconds",
    "container_health_failing_streak",
    "container_health_status",
    "container_info",
    "container_log_rotation_info",
    "container_log_size_bytes",
    "container_memory_slab_reclaimable_bytes",
    "container_pids",
    "container_pids_limit",
    "container_restart_count",
    "container_state",
    "container_writable_layer_size_bytes",
    "docker_containers",
    "docker_image_size_bytes",
    "docker_swarm_node_info",
    "docker_swarm_service_replicas",
    "docker_volume_size_bytes",
];
