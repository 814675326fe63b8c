//! INFO sections Server, Clients, CPU, Replication, Cluster and Sentinel.

super::fields! {
    gauge "configured_hz" => "redis_configured_hz" "Configured rate of the server's periodic work, in Hz";
    gauge "hz" => "redis_hz" "Present rate of the server's periodic work, in Hz";
    gauge "io_threads_active" => "redis_io_threads_active" "1 while I/O threads are at work";
    gauge "process_id" => "redis_process_id" "Process id of the server";
    gauge "uptime_in_seconds" => "redis_uptime_in_seconds" "Seconds since the server started";

    gauge "blocked_clients" => "redis_blocked_clients" "Clients that wait in a blocking command";
    gauge "client_biggest_input_buf" => "redis_client_biggest_input_buf" "Largest input buffer of a client, servers before 5.0";
    gauge "client_longest_output_list" => "redis_client_longest_output_list" "Longest output list of a client, servers before 5.0";
    gauge "client_recent_max_input_buffer" => "redis_client_recent_max_input_buffer_bytes" "Largest input buffer of a client lately";
    gauge "client_recent_max_output_buffer" => "redis_client_recent_max_output_buffer_bytes" "Largest output buffer of a client lately";
    gauge "clients_in_timeout_table" => "redis_clients_in_timeout_table" "Clients in the table of timeouts";
    gauge "cluster_connections" => "redis_cluster_connections" "Sockets of the cluster bus, about";
    gauge "connected_clients" => "redis_connected_clients" "Client connections, without those of replicas";
    gauge "current_client_thread" => "redis_current_client_thread" "Thread that serves this connection, KeyDB";
    gauge "maxclients" => "redis_max_clients" "Most client connections that the server accepts";
    gauge "pubsub_clients" => "redis_pubsub_clients" "Clients in publish/subscribe mode";
    gauge "total_blocking_keys" => "redis_total_blocking_keys" "Keys that clients wait for";
    gauge "total_blocking_keys_on_nokey" => "redis_total_blocking_keys_on_nokey" "Keys whose deletion unblocks the clients that wait";
    gauge "total_watched_keys" => "redis_total_watched_keys" "Keys under WATCH";
    gauge "tracking_clients" => "redis_tracking_clients" "Clients with key tracking on";
    gauge "watching_clients" => "redis_watching_clients" "Clients with keys under WATCH";

    counter "used_active_time_main_thread" => "redis_active_time_main_thread_seconds_total" "Seconds in which the main thread was not idle";
    counter "used_cpu_sys" => "redis_cpu_sys_seconds_total" "CPU seconds of the server in the kernel";
    counter "used_cpu_sys_children" => "redis_cpu_sys_children_seconds_total" "CPU seconds of background processes in the kernel";
    counter "used_cpu_sys_main_thread" => "redis_cpu_sys_main_thread_seconds_total" "CPU seconds of the main thread in the kernel";
    counter "used_cpu_user" => "redis_cpu_user_seconds_total" "CPU seconds of the server in user mode";
    counter "used_cpu_user_children" => "redis_cpu_user_children_seconds_total" "CPU seconds of background processes in user mode";
    counter "used_cpu_user_main_thread" => "redis_cpu_user_main_thread_seconds_total" "CPU seconds of the main thread in user mode";
    gauge "long_lock_waits" => "redis_long_lock_waits_total" "Long waits for the global lock, KeyDB";
    gauge "server_threads" => "redis_server_threads_total" "Worker threads, KeyDB";

    gauge "connected_slaves" => "redis_connected_slaves" "Replicas connected to this server";
    gauge "master_repl_offset" => "redis_master_repl_offset" "Replication offset of this server, in bytes";
    gauge "repl_backlog_active" => "redis_repl_backlog_is_active" "1 if there is a replication backlog";
    gauge "repl_backlog_first_byte_offset" => "redis_repl_backlog_first_byte_offset" "Replication offset at which the backlog begins";
    gauge "repl_backlog_histlen" => "redis_repl_backlog_history_bytes" "Bytes of data in the replication backlog";
    gauge "repl_backlog_size" => "redis_replication_backlog_bytes" "Size of the replication backlog";
    gauge "second_repl_offset" => "redis_second_repl_offset" "Offset up to which the former replication id is accepted, -1 for none";
    gauge "slave_priority" => "redis_slave_priority" "Priority of this replica at a failover";

    gauge "cluster_enabled" => "redis_cluster_enabled" "1 if the server runs in cluster mode";

    gauge "sentinel_masters" => "redis_sentinel_masters" "Masters that this Sentinel watches";
    gauge "sentinel_running_scripts" => "redis_sentinel_running_scripts" "Scripts that this Sentinel runs now";
    gauge "sentinel_scripts_queue_length" => "redis_sentinel_scripts_queue_length" "Scripts that wait to be run by this Sentinel";
    gauge "sentinel_simulate_failure_flags" => "redis_sentinel_simulate_failure_flags" "Failures that this Sentinel was told to simulate";
    gauge "sentinel_tilt" => "redis_sentinel_tilt" "1 while this Sentinel is in TILT mode";
}
