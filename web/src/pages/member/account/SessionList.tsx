import { Button, Text } from "@mantine/core";
import { useState } from "react";
import { useChange, useList } from "../../../api/queries";
import type { SessionRow } from "../../../api/schema";
import { call } from "../../../api/client";
import { leaveSession } from "../../../app/session";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { DataTable } from "../../../components/DataTable";
import { Section } from "../../../components/Section";
import { Empty } from "../../../components/States";
import { Time } from "../../../components/Time";
import { tell } from "../../../components/toasts";
import { browserOf } from "./browser";

const WAYS: Record<SessionRow["way"], string> = { password: "Password", oidc: "Single sign-on", invitation: "Invitation" };

/** Where one is signed in, and how to end it. */
export function SessionList() {
  const sessions = useList("GET /portal/v1/sessions");
  const end = useChange("DELETE /portal/v1/sessions/{id}", ["GET /portal/v1/sessions"]);
  const [leaving, setLeaving] = useState(false);
  return (
    <Section
      title="Sessions" description="Where you are signed in." padded={false}
      action={<Button variant="default" size="xs" onClick={() => setLeaving(true)}>Sign out everywhere</Button>}
    >
      <DataTable
        label="Sessions" pages={sessions} rowKey={({ id }) => id} empty={<Empty title="No sessions" />}
        columns={[
          {
            title: "Browser",
            render: ({ user_agent, current }) => (
              <div>
                {browserOf(user_agent)}
                {current && <Text size="xs" c="dimmed">This session</Text>}
              </div>
            ),
          },
          { title: "Address", render: ({ address }) => address ?? "–" },
          { title: "Signed in by", render: ({ way }) => WAYS[way] },
          { title: "Since", render: ({ created_at_ms }) => <Time at={created_at_ms} /> },
          { title: "Last seen", render: ({ seen_at_ms }) => <Time at={seen_at_ms} relative /> },
          {
            title: "Actions", quiet: true, align: "end",
            render: ({ id, current, user_agent }) =>
              !current && (
                <Button
                  size="xs" variant="default" aria-label={`End the session of ${browserOf(user_agent)}`}
                  onClick={() => end.mutate({ path: { id } }, { onSuccess: () => tell("The session has ended.") })}
                >
                  End
                </Button>
              ),
          },
        ]}
      />
      {leaving && (
        <ConfirmDialog
          title="Sign out everywhere" action="Sign out" onClose={() => setLeaving(false)} staysOpen
          onConfirm={async () => {
            await call("DELETE /portal/v1/session");
            await leaveSession();
          }}
        >
          Every session of yours ends at once, this one too. Keys go on working.
        </ConfirmDialog>
      )}
    </Section>
  );
}
