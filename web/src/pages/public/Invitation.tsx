/** Takes an invitation: a new account with a password of one's own, or one more workspace for the account that is there. */
import { Alert, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { flushSync } from "react-dom";
import { useNavigate, useParams } from "react-router";
import { type Answer, ApiError, call, messageOf } from "../../api/client";
import { SHORTEST_PASSWORD } from "../../app/passwords";
import { PublicPage } from "../../app/PublicPage";
import { enterSession } from "../../app/session";
import { Icon } from "../../components/Icon";
import { Empty, Failure, Loading } from "../../components/States";
import { Time } from "../../components/Time";


export default function Invitation() {
  const { token = "" } = useParams();
  const [taken, setTaken] = useState(false);
  const seen = useQuery({
    queryKey: ["POST /portal/v1/invitations/look", token],
    queryFn: ({ signal }) => call("POST /portal/v1/invitations/look", { body: { token }, signal }),
    retry: false,
    // Once it is taken there is none, and the session that begins forgets what was read before.
    enabled: !taken,
  });
  if (seen.data) return <Accept token={token} invitation={seen.data} onTaken={() => setTaken(true)} />;
  const gone = seen.error instanceof ApiError && seen.error.status === 404;
  return (
    <PublicPage title="Invitation">
      {gone ? (
        <Empty title="This invitation is no longer open">It was used, withdrawn, or its time is over. Ask for a new one.</Empty>
      ) : seen.error ? (
        <Failure error={seen.error} retry={() => void seen.refetch()} />
      ) : (
        <Loading />
      )}
    </PublicPage>
  );
}

interface AcceptProps {
  token: string;
  invitation: Answer<"POST /portal/v1/invitations/look">;
  onTaken: () => void;
}

function Accept({ token, invitation, onTaken }: AcceptProps) {
  const { email, workspace_name, has_account, expires_at_ms } = invitation;
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      const body = { token, password, name: name.trim() || null };
      const session = await call("POST /portal/v1/invitations/accept", { body });
      flushSync(onTaken);
      enterSession(session);
      void navigate("/", { replace: true });
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 401;
      setFailure(wrong ? "This is not the password of your account." : messageOf(error));
      setBusy(false);
    }
  };
  return (
    <PublicPage title={`Join ${workspace_name}`}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          <Text size="sm" c="dimmed">
            {has_account ? "You have an account already. Enter its password to join." : "Choose a password to make your account."}{" "}
            This invitation is open until <Time at={expires_at_ms} />.
          </Text>
          {failure && <Alert variant="default" className="notice" role="alert" icon={<Icon name="warning" />}>{failure}</Alert>}
          <TextInput label="E-mail" type="email" value={email} readOnly autoComplete="username" />
          {!has_account && (
            <TextInput label="Your name" autoComplete="name" maxLength={100} value={name} onChange={(event) => setName(event.currentTarget.value)} />
          )}
          <PasswordInput
            label="Password" required withAsterisk={false} autoFocus value={password}
            description={has_account ? undefined : `At least ${SHORTEST_PASSWORD} characters`}
            minLength={has_account ? 1 : SHORTEST_PASSWORD} autoComplete={has_account ? "current-password" : "new-password"}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Button type="submit" loading={busy} fullWidth>Join workspace</Button>
        </Stack>
      </form>
    </PublicPage>
  );
}
