//! Doors for fuzz targets: the query string of a request.

use super::request;

/// Reads `query` as that of a scrape: what is to be collected and what not are among its pairs.
pub fn read_query(query: &str) {
    let (collect, exclude) = request::filters(query);
    let pairs = request::pairs(query);
    let of = |name: &str| pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value).cloned().collect::<Vec<_>>();
    assert_eq!((collect, exclude), (of("collect[]"), of("exclude[]")), "{query:?}");
}
