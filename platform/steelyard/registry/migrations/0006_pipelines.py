import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Models that are layers of other models."""

    dependencies = [("registry", "0005_sealed_keys")]

    operations = [
        migrations.AlterField(
            model_name="modelversion",
            name="family",
            field=models.CharField(
                choices=[
                    ("causal_lm", "Language model"),
                    ("vision_language", "Vision-language model"),
                    ("class_unet", "Class-conditional image model"),
                    ("stable_diffusion", "Stable Diffusion 1 and 2"),
                    ("stable_diffusion_xl", "Stable Diffusion XL"),
                    ("stable_diffusion_3", "Stable Diffusion 3 and 3.5"),
                    ("flux", "Flux.1"),
                    ("qwen_image", "Qwen-Image"),
                    ("sana", "Sana"),
                    ("wan", "Wan"),
                    ("cogvideox", "CogVideoX"),
                    ("ltx_video", "LTX-Video"),
                    ("hunyuan_video", "HunyuanVideo"),
                    ("endpoint", "HTTP endpoint"),
                    ("pipeline", "Pipeline of models"),
                    ("imported", "Imported outputs only"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="PipelineMember",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.modelversion",
                    ),
                ),
                (
                    "pipeline",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="registry.modelversion",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="pipelinemember",
            constraint=models.UniqueConstraint(
                fields=("pipeline", "model"), name="pipeline_member_once"
            ),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="members",
            field=models.ManyToManyField(
                help_text="The models that a pipeline is made of.",
                related_name="pipelines",
                through="registry.PipelineMember",
                through_fields=("pipeline", "model"),
                to="registry.modelversion",
            ),
        ),
    ]
