import { Button, Group, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import { enterSession, useSession } from "../../../app/session";
import { Section } from "../../../components/Section";
import { tell } from "../../../components/toasts";

export function NameForm() {
  const { user } = useSession();
  const [name, setName] = useState(user.name ?? "");
  const change = useChange("PATCH /portal/v1/me");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({ body: { name: name.trim() } }, { onSuccess: (session) => { enterSession(session, true); tell("Your name was changed."); } });
  };
  return (
    <Section title="You">
      <form onSubmit={submit}>
        <Stack>
          <TextInput label="E-mail" value={user.email} readOnly description={user.role === "operator" ? "You are an operator of this gateway." : undefined} />
          <TextInput
            label="Name" required withAsterisk={false} maxLength={100} autoComplete="name" value={name}
            error={change.error && messageOf(change.error)} onChange={(event) => setName(event.currentTarget.value)}
          />
          <Group justify="flex-end">
            <Button type="submit" variant="default" loading={change.isPending} disabled={name.trim() === (user.name ?? "") || name.trim() === ""}>Save name</Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
