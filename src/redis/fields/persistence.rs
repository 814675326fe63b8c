//! INFO section Persistence.

super::fields! {
    gauge "aof_base_size" => "redis_aof_base_size_bytes" "Size of the append-only file after its last rewrite";
    gauge "aof_buffer_length" => "redis_aof_buffer_length" "Bytes that wait to be written to the append-only file";
    gauge "aof_current_rewrite_time_sec" => "redis_aof_current_rewrite_duration_sec" "Seconds that the rewrite under way has taken, -1 for none";
    gauge "aof_current_size" => "redis_aof_current_size_bytes" "Size of the append-only file";
    gauge "aof_delayed_fsync" => "redis_aof_delayed_fsync" "Writes held up by an fsync since the start";
    gauge "aof_enabled" => "redis_aof_enabled" "1 if the append-only file is on";
    gauge "aof_last_bgrewrite_status" => "redis_aof_last_bgrewrite_status" "1 if the last rewrite of the append-only file went well";
    gauge "aof_last_cow_size" => "redis_aof_last_cow_size_bytes" "Bytes copied on write during the last rewrite";
    gauge "aof_last_rewrite_time_sec" => "redis_aof_last_rewrite_duration_sec" "Seconds that the last rewrite took, -1 for none";
    gauge "aof_last_write_status" => "redis_aof_last_write_status" "1 if the last write to the append-only file went well";
    gauge "aof_pending_bio_fsync" => "redis_aof_pending_bio_fsync" "fsync calls that wait in the background";
    gauge "aof_pending_rewrite" => "redis_aof_pending_rewrite" "1 if a rewrite follows the save under way";
    gauge "aof_rewrite_buffer_length" => "redis_aof_rewrite_buffer_length" "Bytes in the rewrite buffer, servers before 7.0";
    gauge "aof_rewrite_in_progress" => "redis_aof_rewrite_in_progress" "1 while the append-only file is rewritten";
    gauge "aof_rewrite_scheduled" => "redis_aof_rewrite_scheduled" "1 if a rewrite of the append-only file is due";
    gauge "async_loading" => "redis_async_loading" "1 while a replication data set loads and the old one is served";
    gauge "loading" => "redis_loading_dump_file" "1 while the server loads its data";
    gauge "module_fork_in_progress" => "redis_module_fork_in_progress" "1 while a module's child process runs";
    gauge "module_fork_last_cow_size" => "redis_module_fork_last_cow_size" "Bytes copied on write during a module's last child process";
    gauge "rdb_bgsave_in_progress" => "redis_rdb_bgsave_in_progress" "1 while a snapshot is saved";
    gauge "rdb_changes_since_last_save" => "redis_rdb_changes_since_last_save" "Changes since the last snapshot";
    gauge "rdb_current_bgsave_time_sec" => "redis_rdb_current_bgsave_duration_sec" "Seconds that the save under way has taken, -1 for none";
    gauge "rdb_last_bgsave_status" => "redis_rdb_last_bgsave_status" "1 if the last snapshot went well";
    gauge "rdb_last_bgsave_time_sec" => "redis_rdb_last_bgsave_duration_sec" "Seconds that the last snapshot took, -1 for none";
    gauge "rdb_last_cow_size" => "redis_rdb_last_cow_size_bytes" "Bytes copied on write during the last snapshot";
    gauge "rdb_last_load_keys_expired" => "redis_rdb_last_load_expired_keys" "Keys that had expired when the snapshot was loaded";
    gauge "rdb_last_load_keys_loaded" => "redis_rdb_last_load_loaded_keys" "Keys that were loaded from the snapshot";
    gauge "rdb_last_save_time" => "redis_rdb_last_save_timestamp_seconds" "Unix time of the last snapshot that went well";
    gauge "rdb_saves" => "redis_rdb_saves_total" "Snapshots since the start";
}
