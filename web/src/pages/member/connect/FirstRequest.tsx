import { Anchor, Select } from "@mantine/core";
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { call, messageOf } from "../../../api/client";
import { forget } from "../../../api/queries";
import type { CallShown, KeyShown } from "../../../api/schema";
import { useFreshKey } from "../../../app/freshKey";
import { Money } from "../../../components/Money";
import { Time } from "../../../components/Time";
import classes from "./connect.module.css";

const WAIT_S = 25;
const AGAIN_MS = 5_000;

/** Waits for the first request of a key, and says what came. */
export function FirstRequest({ keys }: { keys: readonly KeyShown[] }) {
  const fresh = useFreshKey();
  const [chosen, setChosen] = useState<string | null>(null);
  const id = keys.find((key) => key.id === (chosen ?? fresh?.id))?.id ?? keys[0]?.id ?? "";
  const { received, failure } = useFirstRequest(id);
  const failed = received !== null && received.status >= 400;
  return (
    <section className={`surface ${classes.first}`} aria-label="First request" data-testid="first-request" data-received={received !== null}>
      <div role="status" className={classes.light} data-tone={received === null ? "busy" : failed ? "warn" : "good"}>
        <span className={classes.lamp} aria-hidden="true" />
        <div>
          <strong>{received === null ? "Waiting for the first request…" : "First request received"}</strong>
          <span className={classes.quiet}>
            {received === null ? (
              failure ?? "This turns on by itself as soon as your program calls."
            ) : (
              <>
                {received.model}, <Time at={received.started_at_ms} relative />, {failed ? `failed with ${received.status}` : <><Money credits={received.cost} unit /></>}.{" "}
                <Anchor component={Link} to={`/logs?call=${received.id}`} inherit>Show it in the logs</Anchor>
              </>
            )}
          </span>
        </div>
      </div>
      <Select
        aria-label="Key that is watched" allowDeselect={false} value={id} onChange={setChosen}
        data={keys.map((key) => ({ value: key.id, label: `${key.name} (…${key.last4})` }))}
      />
    </section>
  );
}

function useFirstRequest(id: string): { received: CallShown | null; failure: string | null } {
  const [state, setState] = useState<{ id: string; received: CallShown | null; failure: string | null }>({ id, received: null, failure: null });
  useEffect(() => {
    const abort = new AbortController();
    void watch(id, abort.signal, (received, failure) => setState({ id, received, failure }));
    return () => abort.abort();
  }, [id]);
  return state.id === id ? state : { received: null, failure: null };
}

/** Asks until the call is there; every question waits at the gateway, so that nothing is asked in vain. */
async function watch(id: string, signal: AbortSignal, tell: (received: CallShown | null, failure: string | null) => void): Promise<void> {
  while (!signal.aborted) {
    try {
      const answer = await call("GET /portal/v1/keys/{id}/first-request", { path: { id }, query: { wait: WAIT_S }, signal });
      tell(answer.call, null);
      if (answer.received) return await forget("GET /portal/v1/overview", "GET /portal/v1/keys");
    } catch (error) {
      if (signal.aborted) return;
      tell(null, messageOf(error));
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}
