import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Checklist } from "../../../api/schema";
import { useSession } from "../../../app/session";
import { Icon } from "../../../components/Icon";
import { Section } from "../../../components/Section";
import classes from "./overview.module.css";

interface Step {
  done: boolean;
  title: string;
  text: string;
  action?: ReactNode;
}

/** What is still to be done until the first answer; it goes away when all is done. */
export function FirstSteps({ checklist, createKey }: { checklist: Checklist; createKey: () => void }) {
  const { operator_pages } = useSession();
  const steps: Step[] = [
    {
      done: checklist.has_key,
      title: "Create a key and copy it",
      text: "Your programs show it to Mira with every request.",
      action: <Button size="xs" onClick={createKey}>Create key</Button>,
    },
    {
      done: checklist.has_model,
      title: "Have a model that answers",
      text: operator_pages ? "Add a provider account or another Mira to the fleet." : "Your operator adds providers; the local model may still be loading.",
      action: operator_pages ? <Button size="xs" variant="default" component={Link} to="/fleet">Open the fleet</Button> : undefined,
    },
    {
      done: checklist.has_credits,
      title: "Have credits",
      text: "Calls are paid from your workspace's credits.",
      action: <Button size="xs" variant="default" component={Link} to="/credits">Show credits</Button>,
    },
    {
      done: checklist.first_request_at_ms !== null,
      title: "Send the first request",
      text: "Point OpenCode, Claude Code or any other client at Mira.",
      action: <Button size="xs" variant="default" component={Link} to="/connect">Connect a client</Button>,
    },
  ];
  return (
    <Section title="Get going" padded={false}>
      <ol className={classes.steps}>
        {steps.map(({ done, title, text, action }) => (
          <li key={title} data-done={done}>
            <span className={classes.tick}>{done && <Icon name="check" size={14} />}</span>
            <div>
              <strong>{title}</strong>
              <span className={classes.quiet}>{done ? "Done" : text}</span>
            </div>
            {!done && action}
          </li>
        ))}
      </ol>
    </Section>
  );
}
