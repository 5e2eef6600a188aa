/** E-mail and password, and the way to single sign-on where it is set up. */
import { Alert, Anchor, Button, Divider, PasswordInput, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { Navigate, useSearchParams } from "react-router";
import { addressOf, ApiError, call, messageOf } from "../../api/client";
import { enterSession, useAnySession } from "../../app/session";
import { PublicPage } from "../../app/PublicPage";
import { Icon } from "../../components/Icon";

/** Why a single sign-on came back without a session, in the server's codes. */
const RETURNS: Record<string, string> = {
  oidc_refused: "There is no account and no invitation for this address. Ask a member of your workspace to invite you.",
  oidc_unverified: "Your provider has not verified your e-mail address. Verify it there, then sign in again.",
  oidc_failed: "The sign-in with your provider did not succeed. Try again.",
  oidc_disabled: "This account is disabled. Ask the operator of this gateway.",
};

export default function SignIn() {
  const session = useAnySession();
  const [parameters] = useSearchParams();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(RETURNS[parameters.get("error") ?? ""] ?? null);
  if (session.signed_in) return <Navigate to={safeTarget(parameters.get("to"))} replace />;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      enterSession(await call("POST /portal/v1/session", { body: { email: email.trim(), password } }));
    } catch (error) {
      const wrong = error instanceof ApiError && error.code === "wrong_sign_in";
      setFailure(wrong ? "This e-mail and password do not go together." : messageOf(error));
      setBusy(false);
    }
  };
  return (
    <PublicPage title="Sign in">
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          {failure && <Alert variant="default" className="notice" role="alert" icon={<Icon name="warning" />}>{failure}</Alert>}
          <TextInput label="E-mail" type="email" autoComplete="username" required withAsterisk={false} autoFocus value={email} onChange={(event) => setEmail(event.currentTarget.value)} />
          <PasswordInput label="Password" autoComplete="current-password" required withAsterisk={false} value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
          <Button type="submit" loading={busy} fullWidth>Sign in</Button>
        </Stack>
      </form>
      {session.sso && (
        <>
          <Divider label="or" my="md" />
          <Button component="a" href={addressOf(session.sso.href)} variant="default" fullWidth>
            Sign in with {issuerName(session.sso.issuer)}
          </Button>
        </>
      )}
      <p className="public-foot">
        The first password was printed when this gateway started for the first time.{" "}
        <Anchor href={addressOf("docs")} size="sm">API reference</Anchor>
      </p>
    </PublicPage>
  );
}

/** Only a path of this portal: what stands in the address may come from anybody. */
function safeTarget(target: string | null): string {
  return target?.startsWith("/") && !target.startsWith("//") ? target : "/";
}

function issuerName(issuer: string): string {
  try {
    return new URL(issuer).hostname;
  } catch {
    return "single sign-on";
  }
}
