import { Button, Group, PasswordInput, Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import { SHORTEST_PASSWORD } from "../../../app/passwords";
import { enterSession, useSession } from "../../../app/session";
import { Section } from "../../../components/Section";
import { tell } from "../../../components/toasts";


export function PasswordForm() {
  const { user } = useSession();
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const change = useChange("PUT /portal/v1/me/password", ["GET /portal/v1/sessions"]);
  const different = again !== "" && again !== fresh;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (again !== fresh) return;
    const body = user.has_password ? { new: fresh, current } : { new: fresh };
    change.mutate({ body }, {
      onSuccess: (session) => {
        enterSession(session, true);
        setCurrent("");
        setFresh("");
        setAgain("");
        tell("Your password was changed. All other sessions have ended.");
      },
    });
  };
  const wrong = change.error instanceof ApiError && change.error.code === "wrong_sign_in";
  return (
    <Section title="Password" description="Changing it ends all your other sessions.">
      <form onSubmit={submit}>
        <Stack>
          <input type="text" name="username" autoComplete="username" value={user.email} readOnly hidden />
          {user.has_password && (
            <PasswordInput
              label="Present password" required withAsterisk={false} autoComplete="current-password" value={current}
              error={wrong ? "This is not your present password." : null} onChange={(event) => setCurrent(event.currentTarget.value)}
            />
          )}
          <PasswordInput
            label="New password" description={`At least ${SHORTEST_PASSWORD} characters`} required withAsterisk={false} minLength={SHORTEST_PASSWORD}
            autoComplete="new-password" value={fresh} onChange={(event) => setFresh(event.currentTarget.value)}
          />
          <PasswordInput
            label="New password again" required withAsterisk={false} autoComplete="new-password" value={again}
            error={different ? "The two are different." : null} onChange={(event) => setAgain(event.currentTarget.value)}
          />
          {change.error && !wrong && <Text c="var(--mantine-color-error)" role="alert">{messageOf(change.error)}</Text>}
          <Group justify="flex-end">
            <Button type="submit" loading={change.isPending} disabled={fresh === "" || again !== fresh}>Change password</Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
