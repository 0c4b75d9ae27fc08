from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0003_vision_language"),
    ]

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
                    ("imported", "Imported outputs only"),
                ],
                max_length=20,
            ),
        ),
    ]
