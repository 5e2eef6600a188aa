import { Group, Text, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";

interface SectionProps {
  title: string;
  description?: ReactNode;
  action?: ReactNode;
  /** Without it the content reaches to the edges: tables. */
  padded?: boolean;
  children: ReactNode;
}

/** A titled box of a page. */
export function Section({ title, description, action, padded = true, children }: SectionProps) {
  const id = useId();
  return (
    <section className="surface section" aria-labelledby={id}>
      <Group justify="space-between" align="flex-start" className="section-head" gap="xs">
        <div>
          <Title order={2} size="h3" id={id}>{title}</Title>
          {description && <Text size="sm" c="dimmed" mt={2}>{description}</Text>}
        </div>
        {action}
      </Group>
      <div className={padded ? "section-body" : "section-body-flush"}>{children}</div>
    </section>
  );
}
