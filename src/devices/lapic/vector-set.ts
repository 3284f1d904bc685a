/**
 * A set of interrupt vectors, as ISR, TMR and IRR hold it: eight 32-bit words. The highest member is kept at hand, for
 * it decides about every delivery.
 */
export class VectorSet {
  /** Word n holds vectors 32n to 32n+31, the register layout (SDM vol. 3, 11.8.4). */
  readonly words = new Int32Array(8);
  /** Highest member; 0 when there is none (vectors below 16 are illegal, so 0 never is a member). */
  top = 0;

  has(vector: number): boolean {
    return ((this.words[vector >> 5] >>> (vector & 31)) & 1) !== 0;
  }

  add(vector: number): void {
    this.words[vector >> 5] |= 1 << (vector & 31);
    if (vector > this.top) this.top = vector;
  }

  delete(vector: number): void {
    this.words[vector >> 5] &= ~(1 << (vector & 31));
    if (vector === this.top) this.top = this.highest(vector >> 5);
  }

  clear(): void {
    this.words.fill(0);
    this.top = 0;
  }

  save(): number[] {
    return Array.from(this.words, (word) => word >>> 0);
  }

  restore(words: readonly number[]): void {
    for (let i = 0; i < 8; i++) this.words[i] = words[i];
    this.words[0] &= ~0xffff;
    this.top = this.highest(7);
  }

  private highest(from: number): number {
    for (let i = from; i >= 0; i--) {
      const word = this.words[i];
      if (word !== 0) return (i << 5) + 31 - Math.clz32(word);
    }
    return 0;
  }
}
