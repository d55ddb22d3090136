//! Unpacking within bounds, in place of librdkafka's own.
//!
//! librdkafka unpacks a batch to whatever size it has, and all batches of an answer before the first
//! message is seen: 300 KB of gzip become 300 MB, and 3 KB of zstd 90 MB. It has no setting for that.
//! But its functions for gzip, LZ4 and zstd are alone in object files of a static library, and a
//! linker takes nothing from a library that is defined already. So those below, which have the same
//! names, are linked and those are not. Packing shares the files of LZ4 and zstd, and is therefore
//! here too. Tests with real bombs fail should a linker ever decide otherwise.
//!
//! Snappy is left as it is: a byte of it becomes at most 22.
#![allow(
    unsafe_code,
    reason = "these are functions of a C library; each says what its pointers are"
)]

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{ptr, slice};

use flate2::read::MultiGzDecoder;
use rdkafka::types::RDKafkaRespErr as Code;

/// The most that a batch may be, unpacked. An event has at most 1 MiB, and producers fill a batch
/// up to 1 MB before they pack it, unless told otherwise.
pub(super) const MAX_BATCH: usize = 16 << 20;

/// What librdkafka keeps for each message besides its bytes, somewhat rounded up. A batch of empty
/// messages is small until it is cut into them.
pub(super) const MESSAGE: usize = 512;

/// The most that batches which are unpacked and not yet read may take together, in the whole process,
/// with [`MESSAGE`] for each of their messages.
const MAX_TOGETHER: usize = 48 << 20;

/// About what is unpacked and not yet read.
static UNREAD: AtomicUsize = AtomicUsize::new(0);

/// Nothing is unread: what was is read, or will never be.
pub(super) fn forget() {
    UNREAD.store(0, Ordering::Relaxed);
}

/// So many bytes are read. Those of batches that were never packed count as well: then it is less
/// than there is by at most what the consumer's queue holds.
pub(super) fn have_read(bytes: usize) {
    UNREAD
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |unread| {
            (unread > 0).then(|| unread.saturating_sub(bytes))
        })
        .ok();
}

/// How large the next batch may be.
fn room() -> usize {
    MAX_BATCH.min(MAX_TOGETHER.saturating_sub(UNREAD.load(Ordering::Relaxed)))
}

/// About how many messages there are in a batch: each begins with its length.
fn messages(mut unpacked: &[u8]) -> usize {
    // The formats of before 0.11 begin with an offset, of which the first byte is 0. They spend 26
    // bytes and more on a message.
    if unpacked.first() == Some(&0) {
        return unpacked.len() / 26;
    }
    let mut count = 0;
    while !unpacked.is_empty() {
        count += 1;
        let mut length = 0_usize;
        let digits = unpacked
            .iter()
            .take(5)
            .take_while(|byte| **byte >= 0x80)
            .count()
            + 1;
        for (place, byte) in unpacked.iter().take(digits).enumerate() {
            length |= usize::from(byte & 0x7f) << (7 * place);
        }
        // Positive numbers are the even ones.
        unpacked = unpacked.get(digits + length / 2..).unwrap_or_default();
    }
    count
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;

    /// The next piece of what is to be packed, 0 at the end.
    fn rd_slice_reader(slice: *mut c_void, piece: *mut *const c_void) -> usize;

    // Of the copy of LZ4 that librdkafka holds.
    fn LZ4F_isError(code: usize) -> c_uint;
    fn LZ4F_createDecompressionContext(context: *mut *mut c_void, version: c_uint) -> usize;
    fn LZ4F_freeDecompressionContext(context: *mut c_void) -> usize;
    fn LZ4F_decompress(
        context: *mut c_void,
        to: *mut c_void,
        to_size: *mut usize,
        from: *const c_void,
        from_size: *mut usize,
        options: *const c_void,
    ) -> usize;
    fn LZ4F_compressFrameBound(size: usize, preferences: *const Lz4Preferences) -> usize;
    fn LZ4F_compressFrame(
        to: *mut c_void,
        room: usize,
        from: *const c_void,
        size: usize,
        preferences: *const Lz4Preferences,
    ) -> usize;

    // Of libzstd, which librdkafka is linked with.
    fn ZSTD_isError(code: usize) -> c_uint;
    fn ZSTD_getFrameContentSize(from: *const c_void, size: usize) -> c_ulonglong;
    fn ZSTD_decompress(to: *mut c_void, room: usize, from: *const c_void, size: usize) -> usize;
    fn ZSTD_compressBound(size: usize) -> usize;
    fn ZSTD_compress(
        to: *mut c_void,
        room: usize,
        from: *const c_void,
        size: usize,
        level: c_int,
    ) -> usize;
}

/// `LZ4F_preferences_t`.
#[repr(C)]
#[derive(Default)]
struct Lz4Preferences {
    block_size: c_uint,
    /// 1: blocks do not refer to each other, as Kafka wants it.
    block_mode: c_uint,
    content_checksum: c_uint,
    frame_type: c_uint,
    content_size: c_ulonglong,
    dictionary: c_uint,
    block_checksum: c_uint,
    level: c_int,
    auto_flush: c_uint,
    favour_speed: c_uint,
    reserved: [c_uint; 3],
}

const LZ4F_VERSION: c_uint = 100;

/// LZ4 and gzip are unpacked in pieces of this size.
const PIECE: usize = 64 * 1024;

/// Gzip. Null when it cannot be unpacked, or not within bounds.
///
/// # Safety
/// `packed` points to `size` bytes, `unpacked_size` to a number. What is returned is the caller's
/// to free.
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_gz_decompress(
    packed: *const c_void,
    size: c_int,
    unpacked_size: *mut u64,
) -> *mut c_void {
    // SAFETY: as the caller promises.
    let packed = unsafe { bytes(packed, usize::try_from(size).unwrap_or(0)) };
    let room = room();
    let mut unpacked = Vec::with_capacity(packed.len().saturating_mul(4).min(room));
    let read = MultiGzDecoder::new(packed)
        .take(room as u64 + 1)
        .read_to_end(&mut unpacked);
    if read.is_err() || unpacked.len() > room {
        return ptr::null_mut();
    }
    let Some(given) = give(&unpacked) else {
        return ptr::null_mut();
    };
    // SAFETY: as the caller promises.
    unsafe { *unpacked_size = unpacked.len() as u64 };
    given
}

/// LZ4.
///
/// # Safety
/// `packed` points to `size` bytes, the last two to a pointer and a number. What they are set to is
/// the caller's to free.
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_kafka_lz4_decompress(
    _broker: *mut c_void,
    _proper_checksum: c_int,
    _offset: i64,
    packed: *mut c_char,
    size: usize,
    to: *mut *mut c_void,
    to_size: *mut usize,
) -> Code {
    // SAFETY: as the caller promises; the context is made and freed here.
    unsafe {
        *to = ptr::null_mut();
        let mut packed = bytes(packed.cast(), size);
        let room = room();
        let mut context = ptr::null_mut();
        if LZ4F_isError(LZ4F_createDecompressionContext(
            &raw mut context,
            LZ4F_VERSION,
        )) != 0
        {
            return Code::RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        }
        let mut unpacked = Vec::with_capacity(packed.len().saturating_mul(4).min(room));
        let mut piece = vec![0_u8; PIECE];
        let mut whole = false;
        while unpacked.len() <= room {
            let (mut made, mut used) = (piece.len(), packed.len());
            let hint = LZ4F_decompress(
                context,
                piece.as_mut_ptr().cast(),
                &raw mut made,
                packed.as_ptr().cast(),
                &raw mut used,
                ptr::null(),
            );
            if LZ4F_isError(hint) != 0 {
                break;
            }
            unpacked.extend_from_slice(&piece[..made]);
            packed = &packed[used..];
            if hint == 0 {
                whole = packed.is_empty();
                break;
            }
            if made == 0 && used == 0 {
                break;
            }
        }
        LZ4F_freeDecompressionContext(context);
        if !whole || unpacked.len() > room {
            return Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
        }
        hand_over(&unpacked, to, to_size)
    }
}

/// Zstandard.
///
/// # Safety
/// As with [`rd_kafka_lz4_decompress`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_kafka_zstd_decompress(
    _broker: *mut c_void,
    packed: *mut c_char,
    size: usize,
    to: *mut *mut c_void,
    to_size: *mut usize,
) -> Code {
    // SAFETY: as the caller promises; `unpacked` has the capacity that is told, and as many bytes of
    // it are written as are then said to be there.
    unsafe {
        *to = ptr::null_mut();
        let packed = bytes(packed.cast(), size);
        let room = room();
        // The last two numbers stand for "not said" and "no such frame".
        let said = ZSTD_getFrameContentSize(packed.as_ptr().cast(), packed.len());
        let mut capacity = match usize::try_from(said) {
            Ok(said) if said < usize::MAX - 1 => said,
            _ => packed.len().saturating_mul(4).min(room),
        };
        while capacity <= room {
            let mut unpacked = Vec::<u8>::with_capacity(capacity);
            let made = ZSTD_decompress(
                unpacked.as_mut_ptr().cast(),
                capacity,
                packed.as_ptr().cast(),
                packed.len(),
            );
            if ZSTD_isError(made) == 0 {
                unpacked.set_len(made);
                return hand_over(&unpacked, to, to_size);
            }
            if capacity == room {
                break;
            }
            // Too small, or broken, which shows again.
            capacity = capacity.saturating_mul(4).max(PIECE).min(room);
        }
        Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
    }
}

/// Packs with LZ4, as librdkafka's own does.
///
/// # Safety
/// `slice` is one of librdkafka's; otherwise as with [`rd_kafka_lz4_decompress`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_kafka_lz4_compress(
    _broker: *mut c_void,
    _proper_checksum: c_int,
    level: c_int,
    slice: *mut c_void,
    to: *mut *mut c_void,
    to_size: *mut usize,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe {
        let whole = read_all(slice);
        let preferences = Lz4Preferences {
            block_mode: 1,
            level,
            ..Lz4Preferences::default()
        };
        let mut packed = vec![0_u8; LZ4F_compressFrameBound(whole.len(), &raw const preferences)];
        let made = LZ4F_compressFrame(
            packed.as_mut_ptr().cast(),
            packed.len(),
            whole.as_ptr().cast(),
            whole.len(),
            &raw const preferences,
        );
        if LZ4F_isError(made) != 0 {
            return Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
        }
        packed_to(&packed[..made], to, to_size)
    }
}

/// Packs with Zstandard, as librdkafka's own does.
///
/// # Safety
/// As with [`rd_kafka_lz4_compress`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_kafka_zstd_compress(
    _broker: *mut c_void,
    level: c_int,
    slice: *mut c_void,
    to: *mut *mut c_void,
    to_size: *mut usize,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe {
        let whole = read_all(slice);
        let mut packed = vec![0_u8; ZSTD_compressBound(whole.len())];
        let made = ZSTD_compress(
            packed.as_mut_ptr().cast(),
            packed.len(),
            whole.as_ptr().cast(),
            whole.len(),
            level,
        );
        if ZSTD_isError(made) != 0 {
            return Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
        }
        packed_to(&packed[..made], to, to_size)
    }
}

/// # Safety
/// There are `size` bytes, or none and no pointer to them.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts(start.cast(), size) }
}

/// # Safety
/// `slice` is one of librdkafka's.
unsafe fn read_all(slice: *mut c_void) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut piece = ptr::null();
    loop {
        // SAFETY: each piece lives as long as the slice's buffer, and is copied at once.
        unsafe {
            match rd_slice_reader(slice, &raw mut piece) {
                0 => return whole,
                size => whole.extend_from_slice(bytes(piece, size)),
            }
        }
    }
}

/// A copy that C's `free` can free; librdkafka frees what it is given. `None` without memory.
fn copy(from: &[u8]) -> Option<*mut c_void> {
    // SAFETY: of no size, some C libraries return no memory; the copy fits what was asked for.
    unsafe {
        let to = malloc(from.len() + 1);
        if to.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping(from.as_ptr(), to.cast(), from.len());
        Some(to)
    }
}

/// The copy of what is unpacked, which is counted. `None` when it does not fit.
fn give(unpacked: &[u8]) -> Option<*mut c_void> {
    let size = unpacked.len() + MESSAGE * messages(unpacked);
    if UNREAD.load(Ordering::Relaxed) + size > MAX_TOGETHER {
        return None;
    }
    let given = copy(unpacked)?;
    UNREAD.fetch_add(size, Ordering::Relaxed);
    Some(given)
}

/// # Safety
/// The pointers are to a pointer and a number.
unsafe fn hand_over(unpacked: &[u8], to: *mut *mut c_void, to_size: *mut usize) -> Code {
    let Some(given) = give(unpacked) else {
        return Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
    };
    // SAFETY: as the caller promises.
    unsafe {
        *to = given;
        *to_size = unpacked.len();
    }
    Code::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
/// The pointers are to a pointer and a number.
unsafe fn packed_to(packed: &[u8], to: *mut *mut c_void, to_size: *mut usize) -> Code {
    let Some(given) = copy(packed) else {
        return Code::RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
    };
    // SAFETY: as the caller promises.
    unsafe {
        *to = given;
        *to_size = packed.len();
    }
    Code::RD_KAFKA_RESP_ERR_NO_ERROR
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    unsafe extern "C" {
        fn free(memory: *mut c_void);
    }

    #[test]
    fn what_is_replaced_is_of_the_release_whose_sources_were_read() {
        let (_, release) = rdkafka::util::get_rdkafka_version();
        assert_eq!(
            release.trim_start_matches('v'),
            "2.12.1",
            "compare the functions above with those of rdgz.c, rdkafka_lz4.c and rdkafka_zstd.c"
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Codec {
        Gzip,
        Lz4,
        Zstd,
    }

    fn pack(codec: Codec, plain: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; plain.len() + 1024];
        let (to, room, from, size) = (
            packed.as_mut_ptr().cast(),
            packed.len(),
            plain.as_ptr().cast(),
            plain.len(),
        );
        let made = match codec {
            Codec::Gzip => {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                packer.write_all(plain).unwrap();
                return packer.finish().unwrap();
            }
            // SAFETY: both slices are as long as is said.
            Codec::Lz4 => unsafe { LZ4F_compressFrame(to, room, from, size, ptr::null()) },
            // SAFETY: the same.
            Codec::Zstd => unsafe { ZSTD_compress(to, room, from, size, 3) },
        };
        packed.truncate(made);
        packed
    }

    fn unpack(codec: Codec, packed: &mut [u8]) -> Option<Vec<u8>> {
        let (start, length) = (packed.as_mut_ptr(), packed.len());
        let (mut to, mut size, mut gzip_size) = (ptr::null_mut(), 0, 0);
        // SAFETY: `packed` is as long as is said, the other pointers are to what they should be, and
        // what is given is copied and freed once.
        unsafe {
            match codec {
                Codec::Gzip => {
                    let length = c_int::try_from(length).unwrap();
                    to = rd_gz_decompress(start.cast(), length, &raw mut gzip_size);
                    size = usize::try_from(gzip_size).unwrap();
                }
                Codec::Lz4 => {
                    rd_kafka_lz4_decompress(
                        ptr::null_mut(),
                        0,
                        0,
                        start.cast(),
                        length,
                        &raw mut to,
                        &raw mut size,
                    );
                }
                Codec::Zstd => {
                    rd_kafka_zstd_decompress(
                        ptr::null_mut(),
                        start.cast(),
                        length,
                        &raw mut to,
                        &raw mut size,
                    );
                }
            }
            let unpacked = (!to.is_null()).then(|| bytes(to, size).to_vec());
            free(to);
            forget();
            unpacked
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_unpacked_within_bounds_or_refused(
            changes in proptest::collection::vec((0_usize..2_000, 0_u8..), 0..8),
            kept in 0_usize..2_000,
        ) {
            let plain = b"{\"v\":1,\"site\":\"shop\"} and what follows it ".repeat(40);
            for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
                let whole = pack(codec, &plain);
                let unpacked = unpack(codec, &mut whole.clone());
                proptest::prop_assert_eq!(unpacked.as_ref(), Some(&plain), "{:?}", codec);
                let mut changed = whole;
                changed.truncate(kept.max(1));
                for (at, byte) in &changes {
                    let at = at % changed.len();
                    changed[at] = *byte;
                }
                if let Some(unpacked) = unpack(codec, &mut changed) {
                    proptest::prop_assert!(unpacked.len() <= MAX_BATCH);
                }
            }
        }
    }

    #[test]
    fn messages_are_counted_by_their_lengths() {
        assert_eq!(messages(&[]), 0);
        // Seven bytes each, behind a byte with twice the number.
        assert_eq!(messages(&[14, 1, 2, 3, 4, 5, 6, 7].repeat(1000)), 1000);
        // 300 bytes: 600 in two digits.
        let long = [&[0xd8, 0x04][..], &[9; 300]].concat();
        assert_eq!(messages(&long.repeat(3)), 3);
        assert_eq!(messages(&[0xff; 40]), 1);
        assert_eq!(messages(&[0; 2_600]), 100);
    }
}
