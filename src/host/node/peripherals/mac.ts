/** Addresses of network cards. */

/** 52:54:00:12:34:56 and up, by the card's place: known to nobody else, as bit 1 of the first byte says. */
export function defaultMac(index: number): Uint8Array {
  return Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, (0x56 + index) & 0xff);
}

/** @param text six bytes in hexadecimal with colons between, as the configuration's schema demands */
export function bytesOfMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}
