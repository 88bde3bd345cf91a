import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it } from "vitest";

import type { RecentRequest } from "@/api/types";
import { DevelopersView } from "@/features/developers/developers-view";
import { fakeRoutes } from "@/testing/fake-routes";

let requests: RecentRequest[];

const finished: RecentRequest = {
  id: "a",
  route: "/v1/messages",
  model: "tiny",
  began: 0,
  end: "stop",
  prompt_tokens: 1200,
  cached_tokens: 1000,
  completion_tokens: 34,
  first_token_ms: 250,
  duration_ms: 1900,
};

beforeEach(() => {
  requests = [];
  fakeRoutes({
    "GET /api/requests": () => ({ requests }),
    "GET /api/settings": () => ({ model: null, defaults: { model: "tiny" } }),
  });
});

const panel = () => screen.getByRole("tabpanel").textContent;

it("gives this server's address, and settings for each program", async () => {
  const user = userEvent.setup();
  render(<DevelopersView />);
  screen.getByText(`${window.location.origin}/v1`);
  await waitFor(() => {
    expect(panel()).toContain('"model": "tiny"');
  });
  await user.click(screen.getByRole("tab", { name: "Claude Code" }));
  expect(panel()).toContain(`ANTHROPIC_BASE_URL=${window.location.origin}`);
  await user.keyboard("{ArrowRight}");
  expect(document.activeElement?.textContent).toBe("codex");
  expect(panel()).toContain('wire_api = "responses"');
});

it("lists the caller's requests with their tokens, cache and times", async () => {
  const running = { ...finished, id: "b", route: "", end: null, duration_ms: null };
  requests = [running, finished];
  render(<DevelopersView />);
  const [, first, second] = await screen.findAllByRole("row");
  expect(first?.textContent).toMatch(/In the background.*Running/);
  expect(second?.textContent).toMatch(/\/v1\/messages.*1,200 \(1,000 cached\).*34.*0\.3 s.*1\.9 s.*stop/);
});
