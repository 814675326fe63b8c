//! Search indexes. From FT._LIST and FT.INFO of the search module.

use super::super::connection::Failure;
use super::super::reply::{list, pairs, refusal, text};
use super::super::resp::{Cmd, Value};
use super::findings::Findings;
use super::link::Link;
use crate::exposition::Family;

/// `"field" => "family" "help";`, and the factor of the value.
macro_rules! fields {
    ($($field:literal * $factor:literal => $make:ident $family:literal $help:literal;)*) => {
        [$(($field, $factor, Family::$make(concat!("redis_search_index_", $family), concat!($help, " (FT.INFO, ", $field, ").")))),*]
    };
}

static FIELDS: [(&str, f64, Family); 24] = fields! {
    "bytes_per_record_avg" * 1.0 => gauge "avg_per_record_bytes" "Bytes of a record on average";
    "cleaning" * 1.0 => gauge "cleaning" "1 while the index is being cleaned";
    "doc_table_size_mb" * 1048576.0 => gauge "doc_table_size_bytes" "Memory of the table of documents";
    "geoshapes_sz_mb" * 1048576.0 => gauge "geoshapes_size_bytes" "Memory of geographic shapes";
    "hash_indexing_failures" * 1.0 => gauge "hash_indexing_failures" "Documents that could not be indexed";
    "indexing" * 1.0 => gauge "indexing" "1 while the index is being built";
    "inverted_sz_mb" * 1048576.0 => gauge "inverted_size_bytes" "Memory of the inverted index";
    "key_table_size_mb" * 1048576.0 => gauge "key_table_size_bytes" "Memory of the table of keys";
    "max_doc_id" * 1.0 => gauge "max_doc_id" "Largest id of a document";
    "num_docs" * 1.0 => gauge "num_docs" "Documents in the index";
    "num_records" * 1.0 => gauge "num_records" "Records in the index";
    "num_terms" * 1.0 => gauge "num_terms" "Terms in the index";
    "number_of_uses" * 1.0 => counter "number_of_uses_total" "How often the index was used";
    "offset_bits_per_record_avg" * 1.0 => gauge "avg_per_record_offset_bits" "Bits of offsets of a record on average";
    "offset_vectors_sz_mb" * 1048576.0 => gauge "offset_vectors_size_bytes" "Memory of offset vectors";
    "offsets_per_term_avg" * 1.0 => gauge "avg_per_term_offsets" "Offsets of a term on average";
    "percent_indexed" * 1.0 => gauge "percent_indexed" "Share of the documents that is indexed";
    "records_per_doc_avg" * 1.0 => gauge "avg_per_doc_records" "Records of a document on average";
    "sortable_values_size_mb" * 1048576.0 => gauge "sortable_values_size_bytes" "Memory of sortable values";
    "tag_overhead_sz_mb" * 1048576.0 => gauge "tag_overhead_size_bytes" "Memory of the overhead of tags";
    "text_overhead_sz_mb" * 1048576.0 => gauge "text_overhead_size_bytes" "Memory of the overhead of texts";
    "total_index_memory_sz_mb" * 1048576.0 => gauge "total_index_memory_size_bytes" "Memory of the index in all";
    "total_inverted_index_blocks" * 1.0 => gauge "total_inverted_index_blocks" "Blocks of the inverted index";
    "vector_index_sz_mb" * 1048576.0 => gauge "vector_index_size_bytes" "Memory of the vector index";
};

/// The most indexes that are shown.
const MOST: usize = 1000;

/// Reads all indexes whose name matches; nothing on a server without the module.
pub(super) async fn read(link: &mut Link, which: &regex_lite::Regex, out: &mut Findings) -> Result<(), Failure> {
    let replies = link.ask(0, 0, vec![Cmd::of(&[b"FT._LIST"])]).await?;
    let Some(reply) = replies.first().filter(|reply| refusal(reply).is_none()) else { return Ok(()) };
    let names = list(reply).iter().filter_map(text).filter(|name| which.is_match(name)).take(MOST);
    for name in names {
        let replies = link.ask(0, 1, vec![Cmd::of(&[b"FT.INFO", name.as_bytes()])]).await?;
        for (field, value) in replies.first().into_iter().flat_map(pairs) {
            let Some((_, factor, family)) = FIELDS.iter().find(|(known, ..)| *known == field) else { continue };
            let value = match value {
                Value::Int(number) => Some(crate::exposition::from_i64(*number)),
                other => text(other).and_then(|text| text.parse::<f64>().ok()),
            };
            if let Some(value) = value {
                out.add(family, &[("index_name", &name)], value * factor);
            }
        }
    }
    Ok(())
}
