/** Tokens before a rate is shown. */
const few = 8;
/** The length of the sliding window: the current rate, not the average. */
const windowMs = 4000;

/** How fast a reply is generated. A delta is one token, nearly always. */
export class TokenRate {
  private readonly marks: { at: number; count: number }[] = [];
  private count = 0;

  /** The tokens per second after `more` tokens arrived; null: too early to tell. */
  add(more: number, now = performance.now()): number | null {
    this.count += more;
    this.marks.push({ at: now, count: this.count });
    while (this.marks.length > 2 && now - (this.marks[0]?.at ?? now) > windowMs) this.marks.shift();
    const first = this.marks[0];
    if (!first || this.count < few || now - first.at < 500) return null;
    return ((this.count - first.count) * 1000) / (now - first.at);
  }
}
