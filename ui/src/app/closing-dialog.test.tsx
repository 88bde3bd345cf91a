import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";

import { ClosingDialog } from "@/app/closing-dialog";

afterEach(() => {
  delete window.pywebview;
});

it("asks what becomes of a reply, and hands the answer to the window", async () => {
  const answer = vi.fn(() => Promise.resolve());
  window.pywebview = { api: { answer_closing: answer } };
  const user = userEvent.setup();
  render(<ClosingDialog />);
  for (const [button, expected] of [
    ["Cancel", "stay"],
    ["Stop and close", "stop"],
    ["Keep writing", "finish"],
  ] as const) {
    answer.mockClear();
    act(() => {
      window.dispatchEvent(new CustomEvent("applianceclosing"));
    });
    await user.click(screen.getByRole("button", { name: button }));
    expect(answer.mock.calls).toEqual([["asked"], [expected]]);
    expect(screen.queryByRole("dialog")).toBeNull();
  }
});
