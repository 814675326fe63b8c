//! Fields that redis_exporter leaves out.

super::fields! {
    counter "aof_rewrites" => "redis_aof_rewrites_total" "Rewrites of the append-only file since the start";
    gauge "aof_rewrites_consecutive_failures" => "redis_aof_rewrite_consecutive_failures" "Rewrites of the append-only file that failed since the last good one";
    gauge "current_cow_size" => "redis_current_cow_size_bytes" "Bytes copied on write while a child process saves, 0 while none does";
    gauge "current_fork_perc" / 100.0 => "redis_current_fork_progress_ratio" "How far the child process that saves has come, from 0 to 1";
    gauge "loading_eta_seconds" => "redis_loading_eta_seconds" "Seconds until the data is loaded, only while it loads";
    gauge "loading_loaded_bytes" => "redis_loading_loaded_bytes" "Bytes of the data file that are loaded, only while it loads";
    gauge "loading_total_bytes" => "redis_loading_total_bytes" "Bytes of the data file, only while it loads";
    gauge "min_slaves_good_slaves" => "redis_min_slaves_good_slaves" "Replicas that count for min-replicas-to-write, where that is set";
    gauge "rss_overhead_bytes" => "redis_rss_overhead_bytes" "Resident bytes that are not the allocator's";
    counter "total_active_defrag_time" / 1e3 => "redis_active_defrag_time_seconds_total" "Seconds in which memory was above the threshold of active defragmentation";
    counter "total_forks" => "redis_forks_total" "Child processes since the start";
}
