/** Whether it pays to try: what has failed often is left alone for a while. */
export class Luck {
  private readonly patience: number;
  private failures = 0;
  private pause = 0;

  /** @param patience failures in a row after which as many tries are left out */
  constructor(patience: number) {
    this.patience = patience;
  }

  /** To be asked before each try. */
  get isGood(): boolean {
    if (this.pause === 0) return true;
    this.pause--;
    return false;
  }

  note(success: boolean): void {
    this.failures = success ? 0 : this.failures + 1;
    if (this.failures < this.patience) return;
    this.failures = 0;
    this.pause = this.patience;
  }
}
