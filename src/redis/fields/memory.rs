//! INFO section Memory.

super::fields! {
    gauge "active_defrag_running" => "redis_active_defrag_running" "CPU percent that active defragmentation aims at, 0 while it rests";
    gauge "allocator_active" => "redis_allocator_active_bytes" "Bytes in pages that the allocator uses";
    gauge "allocator_allocated" => "redis_allocator_allocated_bytes" "Bytes handed out by the allocator";
    gauge "allocator_frag_bytes" => "redis_allocator_frag_bytes" "Bytes lost to fragmentation inside the allocator";
    gauge "allocator_frag_ratio" => "redis_allocator_frag_ratio" "Active bytes of the allocator over allocated ones";
    gauge "allocator_muzzy" => "redis_allocator_muzzy_bytes" "Bytes in pages that the kernel may take back from the allocator";
    gauge "allocator_resident" => "redis_allocator_resident_bytes" "Resident bytes of the allocator";
    gauge "allocator_rss_bytes" => "redis_allocator_rss_bytes" "Resident bytes of the allocator above its active ones";
    gauge "allocator_rss_ratio" => "redis_allocator_rss_ratio" "Resident bytes of the allocator over active ones";
    gauge "lazyfree_pending_objects" => "redis_lazyfree_pending_objects" "Objects that wait to be freed in the background";
    gauge "lazyfreed_objects" => "redis_lazyfreed_objects" "Objects freed in the background since the start";
    gauge "maxfragmentationmemory_desired_reservation" => "redis_memory_max_fragmentation_reservation_desired_bytes" "Desired reserve for fragmentation, Azure";
    gauge "maxfragmentationmemory_reservation" => "redis_memory_max_fragmentation_reservation_bytes" "Reserve for fragmentation, Azure";
    gauge "maxmemory" => "redis_memory_max_bytes" "Memory limit, 0 for none";
    gauge "maxmemory_desired_reservation" => "redis_memory_max_reservation_desired_bytes" "Desired reserve for other than data, Azure";
    gauge "maxmemory_reservation" => "redis_memory_max_reservation_bytes" "Reserve for other than data, Azure";
    gauge "mem_aof_buffer" => "redis_mem_aof_buffer_bytes" "Bytes in buffers of the append-only file";
    gauge "mem_clients_normal" => "redis_mem_clients_normal" "Bytes that ordinary clients use";
    gauge "mem_clients_slaves" => "redis_mem_clients_slaves" "Bytes that replicas' connections use";
    gauge "mem_cluster_links" => "redis_mem_cluster_links_bytes" "Bytes that links to other cluster nodes use";
    gauge "mem_fragmentation_bytes" => "redis_mem_fragmentation_bytes" "Resident bytes above used ones";
    gauge "mem_fragmentation_ratio" => "redis_mem_fragmentation_ratio" "Resident memory over used memory";
    gauge "mem_not_counted_for_evict" => "redis_mem_not_counted_for_eviction_bytes" "Bytes left out when eviction compares with the limit";
    gauge "mem_overhead_db_hashtable_rehashing" => "redis_mem_overhead_db_hashtable_rehashing_bytes" "Bytes of hash tables that are being resized";
    gauge "mem_replication_backlog" => "redis_mem_replication_backlog_bytes" "Bytes that the replication backlog uses";
    gauge "mem_total_replication_buffers" => "redis_mem_total_replication_buffers_bytes" "Bytes of all replication buffers";
    gauge "number_of_cached_scripts" => "redis_number_of_cached_scripts" "Scripts of EVAL in the cache";
    gauge "number_of_functions" => "redis_number_of_functions" "Functions that are loaded";
    gauge "number_of_libraries" => "redis_number_of_libraries" "Function libraries that are loaded";
    gauge "used_memory" => "redis_memory_used_bytes" "Bytes that the server has allocated";
    gauge "used_memory_dataset" => "redis_memory_used_dataset_bytes" "Bytes of the data themselves";
    gauge "used_memory_functions" => "redis_memory_used_functions_bytes" "Bytes of functions outside of their engines";
    gauge "used_memory_lua" => "redis_memory_used_lua_bytes" "Bytes of the Lua engine of EVAL";
    gauge "used_memory_overhead" => "redis_memory_used_overhead_bytes" "Bytes of all that is not data";
    gauge "used_memory_peak" => "redis_memory_used_peak_bytes" "Most bytes ever allocated";
    gauge "used_memory_rss" => "redis_memory_used_rss_bytes" "Resident bytes of the server's process";
    gauge "used_memory_scripts" => "redis_memory_used_scripts_bytes" "Bytes of scripts and functions outside of their engines";
    gauge "used_memory_scripts_eval" => "redis_memory_used_scripts_eval_bytes" "Bytes of scripts of EVAL outside of their engine";
    gauge "used_memory_startup" => "redis_memory_used_startup_bytes" "Bytes allocated when the server had started";
    gauge "used_memory_vm_eval" => "redis_memory_used_vm_eval_bytes" "Bytes of the engine of EVAL";
    gauge "used_memory_vm_functions" => "redis_memory_used_vm_functions_bytes" "Bytes of the engines of functions";
    gauge "used_memory_vm_total" => "redis_memory_used_vm_total" "Bytes of all script engines";
}
