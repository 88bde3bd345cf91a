/** Pieces that come before the speed is worth a word. */
const few = 8;
/** How far back the speed is looked at: the reply's pace now, not on the whole. */
const windowMs = 4000;

/** How fast a reply is written. A step of the engine sends one token in one piece, nearly always. */
export class Pace {
  private readonly marks: { at: number; count: number }[] = [];
  private count = 0;

  /** Tokens a second after `more` pieces came; null: too early to tell. */
  after(more: number, now = performance.now()): number | null {
    this.count += more;
    this.marks.push({ at: now, count: this.count });
    while (this.marks.length > 2 && now - (this.marks[0]?.at ?? now) > windowMs) this.marks.shift();
    const first = this.marks[0];
    if (!first || this.count < few || now - first.at < 500) return null;
    return ((this.count - first.count) * 1000) / (now - first.at);
  }
}
