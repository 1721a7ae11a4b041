//! Published vectors, written down as in their documents.

use super::*;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    unhex(hex).try_into().unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// RFC 8439, A.5: its nonce begins with 32 zero bits, as WireGuard's do.
#[test]
fn chacha20_poly1305_opens_and_seals_the_vector_of_rfc_8439() {
    let key = bytes("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    let counter = u64::from_le_bytes(bytes("0102030405060708"));
    let associated = unhex("f33388860000000000004e91");
    let sealed = unhex(concat!(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e38",
        "2d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f9",
        "82b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d",
        "46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04",
        "b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049",
        "e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b",
        "eead9d67890cbb22392336fea1851f38"
    ));
    let plain = "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, \
        replaced, or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as \
        reference material or to cite them other than as /“work in progress./”";
    let cipher = Cipher::new(&key);
    let mut text = sealed.clone();
    let length = cipher.open(counter, &associated, &mut text).unwrap();
    assert_eq!(&text[..length], plain.as_bytes());
    let mut again = vec![0; sealed.len()];
    cipher.seal(counter, &associated, plain.as_bytes(), &mut again);
    assert_eq!(again, sealed);
}

#[test]
fn a_changed_message_nonce_or_key_is_forged() {
    let cipher = Cipher::new(&[7; KEY]);
    let mut sealed = [0; 40];
    cipher.seal(1 << 40, b"header", &[1; 24], &mut sealed);
    assert_eq!(cipher.open(1 << 40, b"header", &mut sealed.clone()), Ok(24));
    assert_eq!(cipher.open(1, b"header", &mut sealed.clone()), Err(Forged));
    assert_eq!(cipher.open(1 << 40, b"headex", &mut sealed.clone()), Err(Forged));
    assert_eq!(Cipher::new(&[8; KEY]).open(1 << 40, b"header", &mut sealed.clone()), Err(Forged));
    for at in 0..sealed.len() {
        let mut changed = sealed;
        changed[at] ^= 1;
        assert_eq!(cipher.open(1 << 40, b"header", &mut changed), Err(Forged));
    }
    let mut long = vec![0; WIDE_FROM];
    cipher.seal(1 << 40, &[], &[1; 24], &mut long);
    assert_eq!(cipher.open(1 << 40, &[], &mut long.clone()), Ok(WIDE_FROM - TAG));
    assert_eq!(cipher.open(1, &[], &mut long.clone()), Err(Forged));
    long[WIDE_FROM / 2] ^= 1;
    assert_eq!(cipher.open(1 << 40, &[], &mut long), Err(Forged));
    assert_eq!(cipher.open(0, &[], &mut [0; TAG - 1]), Err(Forged));
}

#[test]
fn a_wiped_cipher_has_forgotten_its_key() {
    let (mut cipher, zero) = (Cipher::new(&[7; KEY]), Cipher::new(&[0; KEY]));
    cipher.wipe();
    for length in [20, WIDE_FROM] {
        let (mut ours, mut expected) = (vec![0; length], vec![0; length]);
        cipher.seal(1, &[], b"text", &mut ours);
        zero.seal(1, &[], b"text", &mut expected);
        assert_eq!(ours, expected);
    }
}

#[test]
fn what_is_longer_than_the_packet_is_sealed_as_zeros() {
    let cipher = Cipher::new(&[7; KEY]);
    let mut sealed = [0xaa; 16 + TAG];
    cipher.seal(3, &[], b"nine byte", &mut sealed);
    assert_eq!(cipher.open(3, &[], &mut sealed), Ok(16));
    assert_eq!(&sealed[..16], b"nine byte\0\0\0\0\0\0\0");
}

/// draft-irtf-cfrg-xchacha-03, A.3.1.
#[test]
fn xchacha20_poly1305_makes_the_vector_of_its_draft() {
    let key = std::array::from_fn(|at| 0x80 + at as u8);
    let nonce = std::array::from_fn(|at| 0x40 + at as u8);
    let associated = unhex("50515253c0c1c2c3c4c5c6c7");
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    let mut text = *plain;
    let tag = seal_long(&key, &nonce, &associated, &mut text);
    let expected = concat!(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c670",
        "8c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9",
        "768812f615c68b13b52e"
    );
    assert_eq!(text[..], unhex(expected));
    assert_eq!(tag[..], unhex("c0875924c1c7987947deafd8780acf49"));
    assert_eq!(open_long(&key, &nonce, &associated, &mut text, &[0; TAG]), Err(Forged));
    open_long(&key, &nonce, &associated, &mut text, &tag).unwrap();
    assert_eq!(&text, plain);
}

/// RFC 7748, 5.2 and 6.1.
#[test]
fn x25519_makes_the_vectors_of_rfc_7748() {
    let cases = [
        [
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ],
        [
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ],
    ];
    for [scalar, point, product] in cases {
        assert_eq!(*diffie_hellman(&bytes(scalar), &bytes(point)).unwrap(), bytes(product));
    }
    let (mut scalar, mut point) = ([0; KEY], [0; KEY]);
    (scalar[0], point[0]) = (9, 9);
    for _ in 0..1_000 {
        let product = diffie_hellman(&scalar, &point).unwrap();
        (scalar, point) = (*product, scalar);
    }
    let thousandth = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(scalar, bytes(thousandth));
    let alice = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!(public_key(&alice), bytes(public));
}

#[test]
fn points_of_low_order_are_refused() {
    let mut points = vec![
        [0; KEY],
        bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];
    let mut one = [0; KEY];
    one[0] = 1;
    points.push(one);
    for point in points {
        assert_eq!(diffie_hellman(&[0x42; KEY], &point), None);
    }
}

/// RFC 7693, appendix B; the keyed ones by Python's hashlib.
#[test]
fn blake2s_makes_the_vector_of_rfc_7693() {
    let abc = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
    assert_eq!(hash(&[b"abc"]), bytes(abc));
    assert_eq!(hash(&[b"a", b"", b"bc"]), bytes(abc));
    let key: [u8; 32] = std::array::from_fn(|at| at as u8);
    assert_eq!(mac(&key, &[b"ab", b"c"]), bytes("61ba5f165c194692e09d12520cc4c74a"));
    assert_eq!(mac(&key[..16], &[b"abc"]), bytes("75296c2d2c0f51210b383f386bc8b1ff"));
}

/// The first three by wireguard-go's `kdf_test.go`, the HMAC by Python's hmac.
#[test]
fn hkdf_over_blake2s_makes_the_vectors_of_wireguard_go() {
    let mut chain = [0; KEY];
    chain[..8].copy_from_slice(b"test-key"); // HMAC fills a short key with zeros
    let [first, second, third] = kdf(&chain, b"test-input");
    assert_eq!(*first, bytes("6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633"));
    assert_eq!(*second, bytes("df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a"));
    assert_eq!(*third, bytes("fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24"));
    let key = std::array::from_fn(|at| at as u8);
    let made = hmac(&key, &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(*made, bytes("14229dde9cdbd4dd31b1a703ac36832ecc9177e0ba0d4632568515aaec7e401f"));
}
