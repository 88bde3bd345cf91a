import type { Usage } from "@/api/types";
import { formatCount, formatRate, formatSeconds, plural } from "@/lib/format";

/** What a reply cost, in the order of interest: a narrow screen shows the first ones. */
export function figuresOf(usage: Usage): string[] {
  const { completion_tokens, cached_tokens, decode_seconds } = usage;
  const figures: string[] = [];
  if (decode_seconds > 0 && completion_tokens > 1) {
    figures.push(`${formatRate(completion_tokens / decode_seconds)} tokens/s`);
  }
  figures.push(plural(completion_tokens, "token"));
  if (cached_tokens > 0) {
    figures.push(`${formatCount(cached_tokens)} cached`);
  }
  if (completion_tokens > 0) {
    const wait = usage.queued_seconds + usage.prefill_seconds;
    figures.push(`first token after ${formatSeconds(wait)}`);
  }
  return figures;
}
