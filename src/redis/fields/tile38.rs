//! What Tile38 tells in SERVER EXT: `[tile38_aof_size, 0, tile38_avg_point_size, 0, …]`

super::fields! {
    gauge "aof_size" => "redis_tile38_aof_size_bytes" "Size of the append-only file";
    gauge "avg_point_size" => "redis_tile38_avg_item_size_bytes" "Size of a point on average";
    gauge "sys_cpus" => "redis_tile38_cpus_total" "CPUs";
    gauge "go_goroutines" => "redis_tile38_go_goroutines_total" "Goroutines";
    gauge "heap_released_bytes" => "redis_tile38_heap_released_bytes" "Memory given back to the system";
    gauge "heap_alloc_bytes" => "redis_tile38_heap_size_bytes" "Memory of the heap";
    gauge "http_transport" => "redis_tile38_http_transport" "1 if HTTP is served";
    gauge "in_memory_size" => "redis_tile38_in_memory_size_bytes" "Memory of all objects";
    gauge "last_gc_time_seconds" => "redis_tile38_last_gc_time_seconds" "Unix time of the last garbage collection";
    gauge "max_heap_size" => "redis_tile38_max_heap_size_bytes" "Limit of the heap, 0 for none";
    gauge "alloc_bytes" => "redis_tile38_mem_alloc_bytes" "Memory in use";
    gauge "next_gc_bytes" => "redis_tile38_next_gc_bytes" "Size of the heap at which garbage is collected next";
    gauge "num_collections" => "redis_tile38_num_collections_total" "Collections";
    gauge "num_hooks" => "redis_tile38_num_hooks_total" "Hooks";
    gauge "num_objects" => "redis_tile38_num_objects_total" "Objects";
    gauge "num_points" => "redis_tile38_num_points_total" "Points";
    gauge "pointer_size" => "redis_tile38_pointer_size_bytes" "Bytes of a pointer";
    gauge "read_only" => "redis_tile38_read_only" "1 if nothing may be written";
    gauge "go_threads" => "redis_tile38_threads_total" "Threads";
}
