/** The pages that a region's code lies in, each with a bit in the mask that the region is given (core/region-entry.ts). */
import type { DecodedBlock } from './record.js';

export interface RegionPage {
  /** Linear address, less that of the first block's page. */
  readonly delta: bigint;
  /** Host address. */
  readonly host: number;
}

export class RegionPages {
  /** By number. */
  readonly list: RegionPage[] = [];
  /** By linear address. */
  readonly #numbers = new Map<bigint, number>();
  readonly #wrap: (address: bigint) => bigint;

  /**
   * @param blocks those of the region, the first of them what addresses are told from
   * @param wrap cuts an address to the mode's width
   */
  constructor(blocks: readonly DecodedBlock[], wrap: (address: bigint) => bigint) {
    this.#wrap = wrap;
    for (const block of blocks)
      for (const { page, host } of this.#of(block)) {
        if (this.#numbers.has(page)) continue;
        this.#numbers.set(page, this.list.length);
        this.list.push({ delta: BigInt.asIntN(64, page - blocks[0].page), host });
      }
  }

  /** Number of the page that a block begins in. */
  numberOf({ page }: DecodedBlock): number {
    return this.#numbers.get(page)!;
  }

  /** Bits of the one or two pages that a block lies in. */
  maskOf(block: DecodedBlock): number {
    return this.#of(block).reduce((mask, { page }) => mask | (1 << this.#numbers.get(page)!), 0);
  }

  #of({ page, host, host2 }: DecodedBlock): { readonly page: bigint; readonly host: number }[] {
    const first = { page, host };
    return host2 ? [first, { page: this.#wrap(page + 0x1000n), host: host2 }] : [first];
  }
}
