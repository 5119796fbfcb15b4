/// A number of the C library's with 64 bits: many have 32 where pointers do.
pub fn wide<N, W: From<N>>(number: N) -> W {
    number.into()
}
